select
    {{ cell_of('cell_hex') }} as email,
    status,
    reason,
    {{ cell_of('suggestion_hex') }} as suggestion,
    coalesce(flags, '') as flags
from {{ ref('data_vectors') }}
