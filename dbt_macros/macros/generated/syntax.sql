{# Written by dbt_macros/generate.py from the Python core; edits are lost. #}
{%- macro syntax_patterns() -%}
{{ return({
    "shape": "^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+([.][A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9.-]+$",
    "host": "^[^@]+@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?[.])+([A-Za-z0-9][A-Za-z0-9-]*)?[A-Za-z]$",
    "punycode": "^[^@]+@(.*[.])?[Xx][Nn]--.*$",
    "hyphens": "^[^@]+@(.*[.])?[A-Za-z0-9-][A-Za-z0-9-]--.*$",
    "long_local": "^[^@]{65}.*$",
    "long_label": "^[^@]+@(.*[.])?[A-Za-z0-9-]{64}.*$",
    "special_use": "^.*[.@](arpa|invalid|local|localhost|onion|test)$",
}) }}
{%- endmacro -%}
{%- macro white_space_codes() -%}{{ return([9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 133, 160, 5760, 8192, 8193, 8194, 8195, 8196, 8197, 8198, 8199, 8200, 8201, 8202, 8232, 8233, 8239, 8287, 12288]) }}{%- endmacro -%}
{%- macro longest_cell() -%}{{ return(1000) }}{%- endmacro -%}
{%- macro longest_address() -%}{{ return(254) }}{%- endmacro -%}
{%- macro caseless_names() -%}{{ return(['info', 'marketing', 'sales', 'support', 'abuse', 'noc', 'security', 'postmaster', 'hostmaster', 'usenet', 'news', 'webmaster', 'www', 'uucp', 'ftp']) }}{%- endmacro -%}
{%- macro formula_starts() -%}{{ return(['=', '+', '-', '@']) }}{%- endmacro -%}
{%- macro labels_of_lists() -%}{{ return({'disposable': [2, 3, 4], 'relay': [2, 3, 4]}) }}{%- endmacro -%}
{%- macro rules_version() -%}{{ return('2026.12') }}{%- endmacro -%}
