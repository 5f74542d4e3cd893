-- What is stored, for people and their tools: flat views with real types and names, and a comment on everything.
--
-- Every migration runs this file again when it has changed. So a view may get more columns, at its end; to change or drop
-- one takes a numbered migration, since views of other people may hang on it.
--
-- What a partition does not have is not here: what is gone (deleted, merged or sealed at CourtListener), what hangs on
-- something that is gone, and strays, which have left the courts and months that are downloaded (docs/truth.md). Values
-- that are not what a column should be are NULL, as empty ones are: nothing in a body makes a query fail.
--
-- `stream = '..'` everywhere: the primary keys begin with it.

-- A date in a body, or NULL. By arithmetic: an exception handler would forbid parallel plans.
CREATE OR REPLACE FUNCTION courtlistener.date_in(value text) RETURNS date
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    years int; months int; days int;
BEGIN
    IF value !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN RETURN NULL; END IF;
    years := substr(value, 1, 4)::int; months := substr(value, 6, 2)::int; days := substr(value, 9, 2)::int;
    IF years < 1 OR months NOT BETWEEN 1 AND 12 OR days < 1 THEN RETURN NULL; END IF;
    IF days > 28 AND days > extract(day FROM make_date(years, months, 1) + interval '1 month - 1 day') THEN RETURN NULL; END IF;
    RETURN make_date(years, months, days);
END $$;

-- A moment in a body, with its offset, or NULL; in UTC it must be of the years that dates have.
CREATE OR REPLACE FUNCTION courtlistener.moment_in(value text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    IF value !~ ('^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?'
                 '(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$')
       OR courtlistener.date_in(left(value, 10)) IS NULL THEN RETURN NULL; END IF;
    RETURN CASE WHEN value::timestamptz >= '0001-01-01 00:00Z' AND value::timestamptz < '9999-12-31 00:00Z'
           THEN value::timestamptz END;
END $$;

-- A whole number in a body, or NULL.
CREATE OR REPLACE FUNCTION courtlistener.number_in(value text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN CASE WHEN value ~ '^-?[0-9]{1,18}$' THEN value::bigint END;
END $$;

-- Whether something in a body is true, or NULL.
CREATE OR REPLACE FUNCTION courtlistener.flag_in(value text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE value WHEN 'true' THEN true WHEN 'false' THEN false END;

-- The id at the end of an address, or NULL.
CREATE OR REPLACE FUNCTION courtlistener.id_of_url(value text) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN substring(value FROM '(?:^|/)([0-9]{1,18})/?$')::bigint;

-- The ids at the ends of the addresses in a list, in their order; NULL if it is no list.
CREATE OR REPLACE FUNCTION courtlistener.ids_in(list jsonb) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(list) <> 'array' THEN RETURN NULL; END IF;
    RETURN ARRAY(SELECT found.id FROM (
        SELECT courtlistener.id_of_url(entry.value) AS id, entry.place
        FROM jsonb_array_elements_text(list) WITH ORDINALITY AS entry (value, place)
    ) AS found WHERE found.id IS NOT NULL ORDER BY found.place);
END $$;

-- The field with the best text of an opinion, as `courtlistener_assets/text/cleaning.py` chooses; NULL if none has any.
CREATE OR REPLACE FUNCTION courtlistener.opinion_field(body jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    field text;
BEGIN
    FOREACH field IN ARRAY ARRAY['html_with_citations', 'xml_harvard', 'xml_scan', 'html_columbia', 'html_lawbox',
                                 'html_anon_2020', 'html', 'plain_text']
    LOOP
        IF jsonb_typeof(body->field) = 'string' AND body->>field ~ '\S' THEN RETURN field; END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- The tables themselves, for whoever looks at them first.
COMMENT ON TABLE courtlistener.dockets IS
    'Dockets as the API gives them (body), tombstones included; to read them: dockets_flat.';
COMMENT ON TABLE courtlistener.clusters IS
    'Decisions as the API gives them (body), tombstones included; to read them: clusters_flat.';
COMMENT ON TABLE courtlistener.opinions IS
    'Opinions as the API gives them (body), tombstones included; to read them: opinions_with_case.';
COMMENT ON TABLE courtlistener.docket_entries IS
    'Entries as the API gives them (body), tombstones included; to read them: entries_flat.';
COMMENT ON TABLE courtlistener.recap_documents IS
    'Documents as the API gives them (body), tombstones included; to read them: documents_flat.';
COMMENT ON COLUMN courtlistener.opinions.date_filed IS
    'Always NULL: an opinion has no date of its own at CourtListener. That of its decision is in opinions_with_case.';

CREATE OR REPLACE VIEW courtlistener.dockets_flat AS
SELECT
    d.id AS docket_id,
    d.court_id,
    coalesce(nullif(d.body->>'case_name', ''),
        nullif(d.body->>'case_name_full', ''),
        nullif(d.body->>'case_name_short', '')) AS case_name,
    nullif(d.body->>'case_name_short', '') AS case_name_short,
    nullif(d.body->>'case_name_full', '') AS case_name_full,
    nullif(d.body->>'docket_number', '') AS docket_number,
    nullif(d.body->>'docket_number_core', '') AS docket_number_core,
    d.date_filed,
    courtlistener.date_in(d.body->>'date_terminated') AS date_terminated,
    courtlistener.date_in(d.body->>'date_last_filing') AS date_last_filing,
    courtlistener.date_in(d.body->>'date_argued') AS date_argued,
    courtlistener.date_in(d.body->>'date_reargued') AS date_reargued,
    courtlistener.date_in(d.body->>'date_cert_granted') AS date_cert_granted,
    courtlistener.date_in(d.body->>'date_cert_denied') AS date_cert_denied,
    nullif(d.body->>'assigned_to_str', '') AS assigned_to,
    courtlistener.id_of_url(d.body->>'assigned_to') AS assigned_to_id,
    nullif(d.body->>'referred_to_str', '') AS referred_to,
    courtlistener.id_of_url(d.body->>'referred_to') AS referred_to_id,
    nullif(d.body->>'panel_str', '') AS panel,
    courtlistener.ids_in(d.body->'panel') AS panel_ids,
    nullif(d.body->>'appeal_from_str', '') AS appeal_from,
    nullif(d.body->>'cause', '') AS cause,
    nullif(d.body->>'nature_of_suit', '') AS nature_of_suit,
    nullif(d.body->>'jury_demand', '') AS jury_demand,
    nullif(d.body->>'jurisdiction_type', '') AS jurisdiction_type,
    nullif(d.body->>'mdl_status', '') AS mdl_status,
    nullif(d.body->>'pacer_case_id', '') AS pacer_case_id,
    courtlistener.ids_in(d.body->'clusters') AS cluster_ids,
    courtlistener.flag_in(d.body->>'blocked') AS is_blocked,
    nullif(d.body->>'absolute_url', '') AS url_path,
    courtlistener.moment_in(d.body->>'date_created') AS date_created,
    d.date_modified,
    d.fetched_at,
    d.source AS stored_from
FROM courtlistener.dockets d
WHERE d.stream = 'dockets' AND d.gone_at IS NULL
  AND ((NOT EXISTS (SELECT FROM courtlistener.strays WHERE strays.docket_id = d.id)
       OR EXISTS (SELECT FROM courtlistener.sweeps WHERE sweeps.partition
                  = d.court_id || '|' || coalesce(to_char(d.date_filed, 'YYYY-MM-01'), 'undated')))
       OR EXISTS (SELECT FROM courtlistener.clusters c JOIN courtlistener.sweeps
                  ON sweeps.partition = c.court_id || '|' || to_char(c.date_filed, 'YYYY-MM-01')
                  WHERE c.docket_id = d.id AND c.stream = 'clusters' AND c.gone_at IS NULL));
COMMENT ON VIEW courtlistener.dockets_flat IS
    'Dockets, one row each: the cases of your courts. What CourtListener has deleted, merged or sealed is not here; nor what has left your courts and months.';
COMMENT ON COLUMN courtlistener.dockets_flat.docket_id IS '`id`';
COMMENT ON COLUMN courtlistener.dockets_flat.court_id IS '`court_id`: such as ca9';
COMMENT ON COLUMN courtlistener.dockets_flat.case_name IS '`case_name`, or else `case_name_full` or `case_name_short`';
COMMENT ON COLUMN courtlistener.dockets_flat.case_name_short IS '`case_name_short`';
COMMENT ON COLUMN courtlistener.dockets_flat.case_name_full IS '`case_name_full`';
COMMENT ON COLUMN courtlistener.dockets_flat.docket_number IS '`docket_number`: as the court writes it';
COMMENT ON COLUMN courtlistener.dockets_flat.docket_number_core IS
    '`docket_number_core`: year and number as digits, of district courts';
COMMENT ON COLUMN courtlistener.dockets_flat.date_filed IS
    '`date_filed`: when the case began; NULL in many dockets made of scraped opinions';
COMMENT ON COLUMN courtlistener.dockets_flat.date_terminated IS '`date_terminated`: when it ended';
COMMENT ON COLUMN courtlistener.dockets_flat.date_last_filing IS '`date_last_filing`: when something was last filed';
COMMENT ON COLUMN courtlistener.dockets_flat.date_argued IS '`date_argued`';
COMMENT ON COLUMN courtlistener.dockets_flat.date_reargued IS '`date_reargued`';
COMMENT ON COLUMN courtlistener.dockets_flat.date_cert_granted IS '`date_cert_granted`: when certiorari was granted';
COMMENT ON COLUMN courtlistener.dockets_flat.date_cert_denied IS '`date_cert_denied`: when certiorari was denied';
COMMENT ON COLUMN courtlistener.dockets_flat.assigned_to IS
    '`assigned_to_str`: the judge it is assigned to, as the court writes the name';
COMMENT ON COLUMN courtlistener.dockets_flat.assigned_to_id IS '`assigned_to`: id of that judge among people';
COMMENT ON COLUMN courtlistener.dockets_flat.referred_to IS '`referred_to_str`: the judge it is referred to';
COMMENT ON COLUMN courtlistener.dockets_flat.referred_to_id IS '`referred_to`: id of that judge among people';
COMMENT ON COLUMN courtlistener.dockets_flat.panel IS '`panel_str`: names of the judges of the panel';
COMMENT ON COLUMN courtlistener.dockets_flat.panel_ids IS '`panel`: ids of these among people';
COMMENT ON COLUMN courtlistener.dockets_flat.appeal_from IS
    '`appeal_from_str`: the court below, as the docket names it';
COMMENT ON COLUMN courtlistener.dockets_flat.cause IS '`cause`: the law under which it was brought';
COMMENT ON COLUMN courtlistener.dockets_flat.nature_of_suit IS '`nature_of_suit`';
COMMENT ON COLUMN courtlistener.dockets_flat.jury_demand IS '`jury_demand`: who demands a jury';
COMMENT ON COLUMN courtlistener.dockets_flat.jurisdiction_type IS
    '`jurisdiction_type`: why a federal court may hear it';
COMMENT ON COLUMN courtlistener.dockets_flat.mdl_status IS '`mdl_status`: its part in multidistrict litigation';
COMMENT ON COLUMN courtlistener.dockets_flat.pacer_case_id IS '`pacer_case_id`';
COMMENT ON COLUMN courtlistener.dockets_flat.cluster_ids IS
    '`clusters`: ids of its decisions, of all months, stored or not';
COMMENT ON COLUMN courtlistener.dockets_flat.is_blocked IS
    '`blocked`: whether search engines are asked to leave its page out';
COMMENT ON COLUMN courtlistener.dockets_flat.url_path IS '`absolute_url`: path of its page on CourtListener';
COMMENT ON COLUMN courtlistener.dockets_flat.date_created IS '`date_created`: when CourtListener made the docket';
COMMENT ON COLUMN courtlistener.dockets_flat.date_modified IS
    '`date_modified`: when CourtListener last changed the docket itself';
COMMENT ON COLUMN courtlistener.dockets_flat.fetched_at IS 'as of when it is known';
COMMENT ON COLUMN courtlistener.dockets_flat.stored_from IS
    'api; bulk: what the bulk files do not have is NULL; merged: of the API, with newer fields from bulk files';

CREATE OR REPLACE VIEW courtlistener.clusters_flat AS
SELECT
    c.id AS cluster_id,
    c.docket_id,
    c.court_id,
    coalesce(nullif(c.body->>'case_name', ''),
        nullif(c.body->>'case_name_full', ''),
        nullif(d.body->>'case_name', '')) AS case_name,
    nullif(c.body->>'case_name_short', '') AS case_name_short,
    nullif(c.body->>'case_name_full', '') AS case_name_full,
    nullif(d.body->>'docket_number', '') AS docket_number,
    c.date_filed,
    courtlistener.flag_in(c.body->>'date_filed_is_approximate') AS date_filed_is_approximate,
    nullif(c.body->>'precedential_status', '') AS precedential_status,
    courtlistener.citations_of(c.body) AS citations,
    courtlistener.number_in(c.body->>'citation_count') AS citation_count,
    nullif(c.body->>'judges', '') AS judges,
    courtlistener.ids_in(c.body->'panel') AS panel_ids,
    courtlistener.ids_in(c.body->'non_participating_judges') AS non_participating_judge_ids,
    nullif(c.body->>'attorneys', '') AS attorneys,
    nullif(c.body->>'nature_of_suit', '') AS nature_of_suit,
    nullif(c.body->>'posture', '') AS posture,
    nullif(c.body->>'procedural_history', '') AS procedural_history,
    nullif(c.body->>'syllabus', '') AS syllabus,
    nullif(c.body->>'headnotes', '') AS headnotes,
    nullif(c.body->>'summary', '') AS summary,
    nullif(c.body->>'disposition', '') AS disposition,
    nullif(c.body->>'history', '') AS history,
    nullif(c.body->>'arguments', '') AS arguments,
    nullif(c.body->>'headmatter', '') AS headmatter,
    nullif(c.body->>'scdb_id', '') AS scdb_id,
    CASE c.body->>'scdb_decision_direction'
        WHEN '1' THEN 'conservative'
        WHEN '2' THEN 'liberal'
        WHEN '3' THEN 'unspecifiable' END AS scdb_decision_direction,
    courtlistener.number_in(c.body->>'scdb_votes_majority') AS scdb_votes_majority,
    courtlistener.number_in(c.body->>'scdb_votes_minority') AS scdb_votes_minority,
    courtlistener.ids_in(c.body->'sub_opinions') AS opinion_ids,
    courtlistener.flag_in(c.body->>'blocked') AS is_blocked,
    nullif(c.body->>'absolute_url', '') AS url_path,
    courtlistener.moment_in(c.body->>'date_created') AS date_created,
    c.date_modified,
    c.fetched_at,
    c.source AS stored_from
FROM courtlistener.clusters c
LEFT JOIN courtlistener.dockets d ON d.stream = 'dockets' AND d.id = c.docket_id
WHERE c.stream = 'clusters' AND c.gone_at IS NULL AND d.gone_at IS NULL
  AND (NOT EXISTS (SELECT FROM courtlistener.strays WHERE strays.docket_id = c.docket_id)
       OR EXISTS (SELECT FROM courtlistener.sweeps WHERE sweeps.partition
                  = c.court_id || '|' || coalesce(to_char(c.date_filed, 'YYYY-MM-01'), 'undated')));
COMMENT ON VIEW courtlistener.clusters_flat IS
    'Decisions (opinion clusters), one row each, with the number of their docket. Gone and strayed ones are not here.';
COMMENT ON COLUMN courtlistener.clusters_flat.cluster_id IS '`id`';
COMMENT ON COLUMN courtlistener.clusters_flat.docket_id IS '`docket_id`';
COMMENT ON COLUMN courtlistener.clusters_flat.court_id IS '`court_id` of the docket';
COMMENT ON COLUMN courtlistener.clusters_flat.case_name IS
    '`case_name`, or else `case_name_full`, or the `case_name` of the docket';
COMMENT ON COLUMN courtlistener.clusters_flat.case_name_short IS '`case_name_short`';
COMMENT ON COLUMN courtlistener.clusters_flat.case_name_full IS '`case_name_full`';
COMMENT ON COLUMN courtlistener.clusters_flat.docket_number IS '`docket_number` of the docket';
COMMENT ON COLUMN courtlistener.clusters_flat.date_filed IS '`date_filed`: when it was decided';
COMMENT ON COLUMN courtlistener.clusters_flat.date_filed_is_approximate IS '`date_filed_is_approximate`';
COMMENT ON COLUMN courtlistener.clusters_flat.precedential_status IS
    '`precedential_status`: Published, Unpublished, Errata, Separate, In-chambers, Relating-to or Unknown';
COMMENT ON COLUMN courtlistener.clusters_flat.citations IS
    '`citations`, as they are printed: 540 U.S. 614; found by an index with citations @> ARRAY[..]';
COMMENT ON COLUMN courtlistener.clusters_flat.citation_count IS '`citation_count`: how many decisions cite it';
COMMENT ON COLUMN courtlistener.clusters_flat.judges IS '`judges`: their names, as text';
COMMENT ON COLUMN courtlistener.clusters_flat.panel_ids IS '`panel`: ids among people of the judges who heard it';
COMMENT ON COLUMN courtlistener.clusters_flat.non_participating_judge_ids IS
    '`non_participating_judges`: ids of the judges who did not take part';
COMMENT ON COLUMN courtlistener.clusters_flat.attorneys IS '`attorneys`: who appeared, as HTML or text';
COMMENT ON COLUMN courtlistener.clusters_flat.nature_of_suit IS '`nature_of_suit`';
COMMENT ON COLUMN courtlistener.clusters_flat.posture IS '`posture`: where the case stood';
COMMENT ON COLUMN courtlistener.clusters_flat.procedural_history IS '`procedural_history`, as HTML or text';
COMMENT ON COLUMN courtlistener.clusters_flat.syllabus IS '`syllabus`: the summary of the reporter, as HTML or text';
COMMENT ON COLUMN courtlistener.clusters_flat.headnotes IS '`headnotes`, as HTML or text';
COMMENT ON COLUMN courtlistener.clusters_flat.summary IS '`summary`, as HTML or text';
COMMENT ON COLUMN courtlistener.clusters_flat.disposition IS '`disposition`: what was decided, such as affirmed';
COMMENT ON COLUMN courtlistener.clusters_flat.history IS '`history`, as HTML or text';
COMMENT ON COLUMN courtlistener.clusters_flat.arguments IS '`arguments`: what the attorneys argued, as HTML';
COMMENT ON COLUMN courtlistener.clusters_flat.headmatter IS
    '`headmatter`: what stands before the opinions in the books, as HTML';
COMMENT ON COLUMN courtlistener.clusters_flat.scdb_id IS '`scdb_id`: id in the Supreme Court Database';
COMMENT ON COLUMN courtlistener.clusters_flat.scdb_decision_direction IS
    '`scdb_decision_direction`: conservative, liberal or unspecifiable';
COMMENT ON COLUMN courtlistener.clusters_flat.scdb_votes_majority IS '`scdb_votes_majority`';
COMMENT ON COLUMN courtlistener.clusters_flat.scdb_votes_minority IS '`scdb_votes_minority`';
COMMENT ON COLUMN courtlistener.clusters_flat.opinion_ids IS '`sub_opinions`: ids of its opinions, stored or not';
COMMENT ON COLUMN courtlistener.clusters_flat.is_blocked IS
    '`blocked`: whether search engines are asked to leave its page out';
COMMENT ON COLUMN courtlistener.clusters_flat.url_path IS '`absolute_url`: path of its page on CourtListener';
COMMENT ON COLUMN courtlistener.clusters_flat.date_created IS '`date_created`: when CourtListener made the decision';
COMMENT ON COLUMN courtlistener.clusters_flat.date_modified IS
    '`date_modified`: when CourtListener last changed the decision itself';
COMMENT ON COLUMN courtlistener.clusters_flat.fetched_at IS 'as of when it is known';
COMMENT ON COLUMN courtlistener.clusters_flat.stored_from IS
    'api; bulk: what the bulk files do not have is NULL; merged: of the API, with newer fields from bulk files';

CREATE OR REPLACE VIEW courtlistener.opinions_with_case AS
SELECT
    o.id AS opinion_id,
    o.cluster_id,
    c.docket_id,
    c.court_id,
    coalesce(nullif(c.body->>'case_name', ''),
        nullif(c.body->>'case_name_full', ''),
        nullif(d.body->>'case_name', '')) AS case_name,
    nullif(d.body->>'docket_number', '') AS docket_number,
    c.date_filed,
    courtlistener.citations_of(c.body) AS citations,
    nullif(c.body->>'precedential_status', '') AS precedential_status,
    nullif(c.body->>'judges', '') AS judges,
    nullif(o.body->>'type', '') AS type,
    CASE o.body->>'type'
        WHEN '010combined' THEN 'Combined opinion'
        WHEN '015unamimous' THEN 'Unanimous opinion'
        WHEN '020lead' THEN 'Lead opinion'
        WHEN '025plurality' THEN 'Plurality opinion'
        WHEN '030concurrence' THEN 'Concurrence'
        WHEN '035concurrenceinpart' THEN 'Concurrence in part'
        WHEN '040dissent' THEN 'Dissent'
        WHEN '050addendum' THEN 'Addendum'
        WHEN '060remittitur' THEN 'Remittitur'
        WHEN '070rehearing' THEN 'Rehearing'
        WHEN '080onthemerits' THEN 'On the merits'
        WHEN '090onmotiontostrike' THEN 'On motion to strike'
        WHEN '100trialcourt' THEN 'Trial court document' END AS type_name,
    nullif(o.body->>'author_str', '') AS author,
    courtlistener.number_in(o.body->>'author_id') AS author_id,
    courtlistener.flag_in(o.body->>'per_curiam') AS per_curiam,
    nullif(o.body->>'joined_by_str', '') AS joined_by,
    courtlistener.ids_in(o.body->'joined_by') AS joined_by_ids,
    o.body->>courtlistener.opinion_field(o.body) AS text,
    courtlistener.opinion_field(o.body) AS text_field,
    courtlistener.number_in(o.body->>'page_count') AS page_count,
    courtlistener.flag_in(o.body->>'extracted_by_ocr') AS extracted_by_ocr,
    nullif(o.body->>'download_url', '') AS download_url,
    nullif(o.body->>'sha1', '') AS sha1,
    courtlistener.ids_in(o.body->'opinions_cited') AS cited_opinion_ids,
    courtlistener.id_of_url(o.body->>'main_version') AS main_version_id,
    nullif(o.body->>'absolute_url', '') AS url_path,
    courtlistener.moment_in(o.body->>'date_created') AS date_created,
    o.date_modified,
    o.fetched_at,
    o.source AS stored_from
FROM courtlistener.opinions o
JOIN courtlistener.clusters c ON c.stream = 'clusters' AND c.id = o.cluster_id
LEFT JOIN courtlistener.dockets d ON d.stream = 'dockets' AND d.id = c.docket_id
WHERE o.stream = 'opinions' AND o.gone_at IS NULL AND c.stream = 'clusters' AND c.gone_at IS NULL AND d.gone_at IS NULL
  AND (NOT EXISTS (SELECT FROM courtlistener.strays WHERE strays.docket_id = c.docket_id)
       OR EXISTS (SELECT FROM courtlistener.sweeps WHERE sweeps.partition
                  = c.court_id || '|' || coalesce(to_char(c.date_filed, 'YYYY-MM-01'), 'undated')));
COMMENT ON VIEW courtlistener.opinions_with_case IS
    'Opinions with their text and the case, decision and date that they belong to, one row each. Gone and strayed ones are not here.';
COMMENT ON COLUMN courtlistener.opinions_with_case.opinion_id IS '`id`';
COMMENT ON COLUMN courtlistener.opinions_with_case.cluster_id IS '`cluster_id`: its decision';
COMMENT ON COLUMN courtlistener.opinions_with_case.docket_id IS '`docket_id` of the decision';
COMMENT ON COLUMN courtlistener.opinions_with_case.court_id IS '`court_id` of the docket';
COMMENT ON COLUMN courtlistener.opinions_with_case.case_name IS
    '`case_name` of the decision, or else its `case_name_full`, or the `case_name` of the docket';
COMMENT ON COLUMN courtlistener.opinions_with_case.docket_number IS '`docket_number` of the docket';
COMMENT ON COLUMN courtlistener.opinions_with_case.date_filed IS
    '`date_filed` of the decision: an opinion has no date of its own';
COMMENT ON COLUMN courtlistener.opinions_with_case.citations IS
    '`citations` of the decision, as they are printed: 540 U.S. 614';
COMMENT ON COLUMN courtlistener.opinions_with_case.precedential_status IS
    '`precedential_status` of the decision: Published, Unpublished and others';
COMMENT ON COLUMN courtlistener.opinions_with_case.judges IS '`judges` of the decision: their names, as text';
COMMENT ON COLUMN courtlistener.opinions_with_case.type IS '`type`: the code of CourtListener, such as 040dissent';
COMMENT ON COLUMN courtlistener.opinions_with_case.type_name IS '`type` in words, such as Dissent';
COMMENT ON COLUMN courtlistener.opinions_with_case.author IS '`author_str`: the name, as text';
COMMENT ON COLUMN courtlistener.opinions_with_case.author_id IS '`author_id`: id of the author among people';
COMMENT ON COLUMN courtlistener.opinions_with_case.per_curiam IS '`per_curiam`: whether the court speaks as a whole';
COMMENT ON COLUMN courtlistener.opinions_with_case.joined_by IS '`joined_by_str`: names of those who joined, as text';
COMMENT ON COLUMN courtlistener.opinions_with_case.joined_by_ids IS '`joined_by`: ids of these among people';
COMMENT ON COLUMN courtlistener.opinions_with_case.text IS
    'the best text there is, as CourtListener has it, so mostly HTML; the chunks are made of it';
COMMENT ON COLUMN courtlistener.opinions_with_case.text_field IS
    'the field that `text` is: html_with_citations, xml_harvard, xml_scan, html_columbia, html_lawbox, html_anon_2020, html or plain_text';
COMMENT ON COLUMN courtlistener.opinions_with_case.page_count IS '`page_count` of the file of the court';
COMMENT ON COLUMN courtlistener.opinions_with_case.extracted_by_ocr IS
    '`extracted_by_ocr`: whether plain_text was read from a picture';
COMMENT ON COLUMN courtlistener.opinions_with_case.download_url IS
    '`download_url`: where the file was downloaded; it may be gone';
COMMENT ON COLUMN courtlistener.opinions_with_case.sha1 IS '`sha1` of the file';
COMMENT ON COLUMN courtlistener.opinions_with_case.cited_opinion_ids IS
    '`opinions_cited`: ids of the opinions that it cites, of any court';
COMMENT ON COLUMN courtlistener.opinions_with_case.main_version_id IS
    '`main_version`: id of the opinion of which this is an older version';
COMMENT ON COLUMN courtlistener.opinions_with_case.url_path IS '`absolute_url`: path of its page on CourtListener';
COMMENT ON COLUMN courtlistener.opinions_with_case.date_created IS
    '`date_created`: when CourtListener made the opinion';
COMMENT ON COLUMN courtlistener.opinions_with_case.date_modified IS
    '`date_modified`: when CourtListener last changed the opinion itself';
COMMENT ON COLUMN courtlistener.opinions_with_case.fetched_at IS 'as of when it is known';
COMMENT ON COLUMN courtlistener.opinions_with_case.stored_from IS
    'api; bulk: what the bulk files do not have is NULL; merged: of the API, with newer fields from bulk files';

CREATE OR REPLACE VIEW courtlistener.entries_flat AS
SELECT
    e.id AS entry_id,
    e.docket_id,
    d.court_id,
    coalesce(nullif(d.body->>'case_name', ''),
        nullif(d.body->>'case_name_full', ''),
        nullif(d.body->>'case_name_short', '')) AS case_name,
    nullif(d.body->>'docket_number', '') AS docket_number,
    d.date_filed AS docket_date_filed,
    courtlistener.number_in(e.body->>'entry_number') AS entry_number,
    e.date_filed,
    nullif(e.body->>'time_filed', '') AS time_filed,
    nullif(e.body->>'recap_sequence_number', '') AS recap_sequence_number,
    courtlistener.number_in(e.body->>'pacer_sequence_number') AS pacer_sequence_number,
    nullif(e.body->>'description', '') AS description,
    courtlistener.moment_in(e.body->>'date_created') AS date_created,
    e.date_modified,
    e.fetched_at,
    e.source AS stored_from
FROM courtlistener.docket_entries e
JOIN courtlistener.dockets d ON d.stream = 'dockets' AND d.id = e.docket_id
WHERE e.stream = 'docket_entries' AND e.gone_at IS NULL AND d.gone_at IS NULL
  AND (NOT EXISTS (SELECT FROM courtlistener.strays WHERE strays.docket_id = d.id)
       OR EXISTS (SELECT FROM courtlistener.sweeps WHERE sweeps.partition
                  = d.court_id || '|' || coalesce(to_char(d.date_filed, 'YYYY-MM-01'), 'undated')));
COMMENT ON VIEW courtlistener.entries_flat IS
    'Entries of dockets, one row each, with the case. Gone and strayed ones are not here.';
COMMENT ON COLUMN courtlistener.entries_flat.entry_id IS '`id`';
COMMENT ON COLUMN courtlistener.entries_flat.docket_id IS '`docket`';
COMMENT ON COLUMN courtlistener.entries_flat.court_id IS '`court_id` of the docket';
COMMENT ON COLUMN courtlistener.entries_flat.case_name IS
    '`case_name` of the docket, or else `case_name_full` or `case_name_short`';
COMMENT ON COLUMN courtlistener.entries_flat.docket_number IS '`docket_number` of the docket';
COMMENT ON COLUMN courtlistener.entries_flat.docket_date_filed IS '`date_filed` of the docket: when the case began';
COMMENT ON COLUMN courtlistener.entries_flat.entry_number IS
    '`entry_number`: as on the docket; NULL where the court gives none';
COMMENT ON COLUMN courtlistener.entries_flat.date_filed IS '`date_filed`: when it was entered';
COMMENT ON COLUMN courtlistener.entries_flat.time_filed IS
    '`time_filed`: at what time of the day, of the court, as text';
COMMENT ON COLUMN courtlistener.entries_flat.recap_sequence_number IS
    '`recap_sequence_number`: orders the entries of a docket';
COMMENT ON COLUMN courtlistener.entries_flat.pacer_sequence_number IS '`pacer_sequence_number`';
COMMENT ON COLUMN courtlistener.entries_flat.description IS '`description`: what the clerk wrote';
COMMENT ON COLUMN courtlistener.entries_flat.date_created IS '`date_created`: when CourtListener made the entry';
COMMENT ON COLUMN courtlistener.entries_flat.date_modified IS
    '`date_modified`: when CourtListener last changed the entry itself';
COMMENT ON COLUMN courtlistener.entries_flat.fetched_at IS 'as of when it is known';
COMMENT ON COLUMN courtlistener.entries_flat.stored_from IS
    'api; bulk: what the bulk files do not have is NULL; merged: of the API, with newer fields from bulk files';

CREATE OR REPLACE VIEW courtlistener.documents_flat AS
SELECT
    r.id AS document_id,
    r.docket_entry_id AS entry_id,
    r.docket_id,
    d.court_id,
    coalesce(nullif(d.body->>'case_name', ''),
        nullif(d.body->>'case_name_full', ''),
        nullif(d.body->>'case_name_short', '')) AS case_name,
    nullif(d.body->>'docket_number', '') AS docket_number,
    d.date_filed AS docket_date_filed,
    courtlistener.number_in(e.body->>'entry_number') AS entry_number,
    r.date_filed,
    nullif(r.body->>'document_number', '') AS document_number,
    courtlistener.number_in(r.body->>'attachment_number') AS attachment_number,
    CASE r.body->>'document_type' WHEN '1' THEN 'PACER document' WHEN '2' THEN 'attachment' END AS document_type,
    nullif(r.body->>'description', '') AS description,
    nullif(r.body->>'plain_text', '') AS text,
    CASE r.body->>'ocr_status'
        WHEN '1' THEN 'done'
        WHEN '2' THEN 'unnecessary'
        WHEN '3' THEN 'failed'
        WHEN '4' THEN 'needed' END AS ocr_status,
    courtlistener.number_in(r.body->>'page_count') AS page_count,
    courtlistener.number_in(r.body->>'file_size') AS file_size,
    courtlistener.flag_in(r.body->>'is_available') AS is_available,
    courtlistener.flag_in(r.body->>'is_free_on_pacer') AS is_free_on_pacer,
    courtlistener.flag_in(r.body->>'is_sealed') AS is_sealed,
    nullif(r.body->>'pacer_doc_id', '') AS pacer_doc_id,
    courtlistener.moment_in(r.body->>'date_upload') AS date_upload,
    nullif(r.body->>'sha1', '') AS sha1,
    nullif(r.body->>'filepath_local', '') AS file_path,
    nullif(r.body->>'absolute_url', '') AS url_path,
    courtlistener.moment_in(r.body->>'date_created') AS date_created,
    r.date_modified,
    r.fetched_at,
    r.source AS stored_from
FROM courtlistener.recap_documents r
JOIN courtlistener.dockets d ON d.stream = 'dockets' AND d.id = r.docket_id
LEFT JOIN courtlistener.docket_entries e ON e.stream = 'docket_entries' AND e.id = r.docket_entry_id AND e.gone_at IS NULL
WHERE r.stream = 'recap_documents' AND r.gone_at IS NULL AND d.gone_at IS NULL
  AND (NOT EXISTS (SELECT FROM courtlistener.strays WHERE strays.docket_id = d.id)
       OR EXISTS (SELECT FROM courtlistener.sweeps WHERE sweeps.partition
                  = d.court_id || '|' || coalesce(to_char(d.date_filed, 'YYYY-MM-01'), 'undated')));
COMMENT ON VIEW courtlistener.documents_flat IS
    'Documents of docket entries (RECAP), one row each, with their text where CourtListener has it. Gone and strayed ones are not here.';
COMMENT ON COLUMN courtlistener.documents_flat.document_id IS '`id`';
COMMENT ON COLUMN courtlistener.documents_flat.entry_id IS '`id` of the entry';
COMMENT ON COLUMN courtlistener.documents_flat.docket_id IS '`docket` of the entry';
COMMENT ON COLUMN courtlistener.documents_flat.court_id IS '`court_id` of the docket';
COMMENT ON COLUMN courtlistener.documents_flat.case_name IS
    '`case_name` of the docket, or else `case_name_full` or `case_name_short`';
COMMENT ON COLUMN courtlistener.documents_flat.docket_number IS '`docket_number` of the docket';
COMMENT ON COLUMN courtlistener.documents_flat.docket_date_filed IS '`date_filed` of the docket: when the case began';
COMMENT ON COLUMN courtlistener.documents_flat.entry_number IS '`entry_number` of the entry';
COMMENT ON COLUMN courtlistener.documents_flat.date_filed IS '`date_filed` of the entry';
COMMENT ON COLUMN courtlistener.documents_flat.document_number IS '`document_number`: as on the docket';
COMMENT ON COLUMN courtlistener.documents_flat.attachment_number IS '`attachment_number`; NULL of the main document';
COMMENT ON COLUMN courtlistener.documents_flat.document_type IS '`document_type`: PACER document or attachment';
COMMENT ON COLUMN courtlistener.documents_flat.description IS
    '`description`: the short one; what the clerk wrote is in entries_flat';
COMMENT ON COLUMN courtlistener.documents_flat.text IS '`plain_text`; NULL of documents that nobody has bought';
COMMENT ON COLUMN courtlistener.documents_flat.ocr_status IS '`ocr_status`: done, unnecessary, failed or needed';
COMMENT ON COLUMN courtlistener.documents_flat.page_count IS '`page_count`';
COMMENT ON COLUMN courtlistener.documents_flat.file_size IS '`file_size`, bytes';
COMMENT ON COLUMN courtlistener.documents_flat.is_available IS '`is_available`: whether CourtListener has the file';
COMMENT ON COLUMN courtlistener.documents_flat.is_free_on_pacer IS '`is_free_on_pacer`';
COMMENT ON COLUMN courtlistener.documents_flat.is_sealed IS '`is_sealed`';
COMMENT ON COLUMN courtlistener.documents_flat.pacer_doc_id IS '`pacer_doc_id`';
COMMENT ON COLUMN courtlistener.documents_flat.date_upload IS '`date_upload`: when CourtListener got the file';
COMMENT ON COLUMN courtlistener.documents_flat.sha1 IS '`sha1` of the file';
COMMENT ON COLUMN courtlistener.documents_flat.file_path IS
    '`filepath_local`: path of the file on the storage of CourtListener';
COMMENT ON COLUMN courtlistener.documents_flat.url_path IS '`absolute_url`: path of its page on CourtListener';
COMMENT ON COLUMN courtlistener.documents_flat.date_created IS '`date_created`: when CourtListener made the document';
COMMENT ON COLUMN courtlistener.documents_flat.date_modified IS
    '`date_modified`: when CourtListener last changed the document itself';
COMMENT ON COLUMN courtlistener.documents_flat.fetched_at IS 'as of when it is known';
COMMENT ON COLUMN courtlistener.documents_flat.stored_from IS
    'api; bulk: what the bulk files do not have is NULL; merged: of the API, with newer fields from bulk files';

CREATE OR REPLACE VIEW courtlistener.citations AS
SELECT
    c.id AS cluster_id,
    c.docket_id,
    c.court_id,
    coalesce(nullif(c.body->>'case_name', ''),
        nullif(c.body->>'case_name_full', ''),
        nullif(d.body->>'case_name', '')) AS case_name,
    c.date_filed,
    left(concat_ws(' ', cited.entry->>'volume', cited.entry->>'reporter', cited.entry->>'page'), 200) AS citation,
    nullif(cited.entry->>'volume', '') AS volume,
    nullif(cited.entry->>'reporter', '') AS reporter,
    nullif(cited.entry->>'page', '') AS page,
    courtlistener.number_in(cited.entry->>'type') AS type,
    CASE cited.entry->>'type'
        WHEN '1' THEN 'federal'
        WHEN '2' THEN 'state'
        WHEN '3' THEN 'state regional'
        WHEN '4' THEN 'specialty'
        WHEN '5' THEN 'early Supreme Court'
        WHEN '6' THEN 'Lexis'
        WHEN '7' THEN 'Westlaw'
        WHEN '8' THEN 'neutral'
        WHEN '9' THEN 'journal' END AS type_name
FROM courtlistener.clusters c
LEFT JOIN courtlistener.dockets d ON d.stream = 'dockets' AND d.id = c.docket_id
CROSS JOIN LATERAL jsonb_path_query(c.body, 'lax $.citations[*]') AS cited (entry)
WHERE c.stream = 'clusters' AND c.gone_at IS NULL AND d.gone_at IS NULL AND jsonb_typeof(cited.entry) = 'object'
  AND (NOT EXISTS (SELECT FROM courtlistener.strays WHERE strays.docket_id = c.docket_id)
       OR EXISTS (SELECT FROM courtlistener.sweeps WHERE sweeps.partition
                  = c.court_id || '|' || coalesce(to_char(c.date_filed, 'YYYY-MM-01'), 'undated')));
COMMENT ON VIEW courtlistener.citations IS
    'Citations under which decisions are printed, one row each: 540 U.S. 614. Which opinion cites which is in citation_map.';
COMMENT ON COLUMN courtlistener.citations.cluster_id IS '`id` of the decision';
COMMENT ON COLUMN courtlistener.citations.docket_id IS '`docket_id` of the decision';
COMMENT ON COLUMN courtlistener.citations.court_id IS '`court_id` of the docket';
COMMENT ON COLUMN courtlistener.citations.case_name IS
    '`case_name` of the decision, or else its `case_name_full`, or the `case_name` of the docket';
COMMENT ON COLUMN courtlistener.citations.date_filed IS '`date_filed` of the decision';
COMMENT ON COLUMN courtlistener.citations.citation IS
    '`volume`, `reporter` and `page`, as it is printed; to look one up, ask clusters_flat for citations @> ARRAY[..], which an index answers';
COMMENT ON COLUMN courtlistener.citations.volume IS '`volume`: mostly a number';
COMMENT ON COLUMN courtlistener.citations.reporter IS '`reporter`: such as U.S. or F.3d';
COMMENT ON COLUMN courtlistener.citations.page IS '`page`: mostly a number';
COMMENT ON COLUMN courtlistener.citations.type IS '`type`: the code of CourtListener';
COMMENT ON COLUMN courtlistener.citations.type_name IS
    '`type` in words: federal, state, state regional, specialty, early Supreme Court, Lexis, Westlaw, neutral or journal';
