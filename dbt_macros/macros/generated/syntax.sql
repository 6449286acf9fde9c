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
{%- macro blank_codes() -%}{{ return([9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 133, 160, 5760, 8192, 8193, 8194, 8195, 8196, 8197, 8198, 8199, 8200, 8201, 8202, 8232, 8233, 8239, 8287, 12288, 173, 847, 1564, 4447, 4448, 12644, 65440, 6068, 6069, 6155, 6156, 6157, 6158, 6159, 8203, 8204, 8205, 8206, 8207, 8234, 8235, 8236, 8237, 8238, 8288, 8289, 8290, 8291, 8292, 8293, 8294, 8295, 8296, 8297, 8298, 8299, 8300, 8301, 8302, 8303, 10240, 65024, 65025, 65026, 65027, 65028, 65029, 65030, 65031, 65032, 65033, 65034, 65035, 65036, 65037, 65038, 65039, 65279, 65520, 65521, 65522, 65523, 65524, 65525, 65526, 65527, 65528, 65529, 65530, 65531]) }}{%- endmacro -%}
{%- macro longest_cell() -%}{{ return(1000) }}{%- endmacro -%}
{%- macro longest_address() -%}{{ return(254) }}{%- endmacro -%}
{%- macro caseless_names() -%}{{ return(['info', 'marketing', 'sales', 'support', 'abuse', 'noc', 'security', 'postmaster', 'hostmaster', 'usenet', 'news', 'webmaster', 'www', 'uucp', 'ftp']) }}{%- endmacro -%}
{%- macro formula_starts() -%}{{ return(['=', '+', '-', '@']) }}{%- endmacro -%}
{%- macro labels_of_lists() -%}{{ return({'disposable': [2, 3, 4], 'relay': [2, 3, 4]}) }}{%- endmacro -%}
{%- macro rules_version() -%}{{ return('2026.12') }}{%- endmacro -%}
