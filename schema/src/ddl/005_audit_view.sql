-- Whether every record of the log was read once and accounted for. Empty is good.

CREATE OR REPLACE VIEW sli.audit AS
WITH
    records - counted - arraySum(mapValues(reasons)) AS unexplained_records,
    next_offset - first_offset - records - missing_offsets AS unexplained_offsets,
    arraySum(mapValues(event_reasons)) - events AS events_too_many
SELECT topic, partition, problem, range_first AS first_offset, range_next AS next_offset, detail, log_time
FROM
(
    SELECT
        topic,
        partition,
        log_time,
        arrayJoin([
            (number = 1 AND generation > 0, 'went_back', first_offset, next_offset,
                concat('the log went back from ', toString(went_back_from), ': truncated, or made anew')),
            (number > 1 AND first_offset > reached, 'gap', reached, first_offset,
                concat(toString(first_offset - reached), ' offsets are in no batch')),
            (number > 1 AND first_offset < reached, 'overlap', first_offset, least(reached, next_offset),
                concat(toString(least(reached, next_offset) - first_offset), ' offsets are in two batches')),
            (unexplained_records != 0, 'unbalanced', first_offset, next_offset,
                concat(toString(records), ' records, of which ', toString(counted), ' counted and ', toString(arraySum(mapValues(reasons))), ' not counted for a reason')),
            (unexplained_offsets != 0, 'unbalanced', first_offset, next_offset,
                concat(toString(next_offset - first_offset), ' offsets, of which ', toString(records), ' records and ', toString(missing_offsets), ' missing')),
            (events_too_many > 0, 'unbalanced', first_offset, next_offset,
                concat(toString(events), ' events, and ', toString(arraySum(mapValues(event_reasons))), ' not looked at for a reason')),
            (missing_offsets > 0, 'missing', first_offset, next_offset,
                concat(toString(missing_offsets), ' offsets were no longer in the log'))
        ]::Array(Tuple(found Bool, problem String, range_first Int64, range_next Int64, detail String))) AS finding,
        finding.found AS found,
        finding.problem AS problem,
        finding.range_first AS range_first,
        finding.range_next AS range_next,
        finding.detail AS detail
    FROM
    (
        SELECT
            *,
            log_time,
            row_number() OVER (PARTITION BY topic, partition, generation ORDER BY first_offset, next_offset) AS number,
            max(next_offset) OVER (PARTITION BY topic, partition, generation ORDER BY first_offset, next_offset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached,
            -- Where the generation before ended.
            max(next_offset) OVER (PARTITION BY topic, partition ORDER BY generation RANGE BETWEEN 1 PRECEDING AND 1 PRECEDING) AS went_back_from
        FROM sli.batches
    )
)
WHERE found
COMMENT 'One row for each gap (offsets in no batch: lost), overlap (in two: counted twice), unbalanced batch, range that the log did not hold any more, or end that the log lost';
