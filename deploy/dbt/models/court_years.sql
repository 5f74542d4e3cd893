-- Decisions, opinions and dissents of each court and year.
select
    court_id,
    extract(year from date_filed)::int as year,
    count(distinct cluster_id) as decisions,
    count(*) as opinions,
    count(*) filter (where type_name = 'Dissent') as dissents
from {{ source('courtlistener', 'opinions_with_case') }}
where precedential_status = 'Published'
group by 1, 2
