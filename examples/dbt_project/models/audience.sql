select id, email, mailvet_score
from {{ ref('contacts_verified') }}
where mailvet_recommendation = 'send'
