-- What all workers have counted since the beginning, for metrics: a worker lives for seconds, its counts stay.
CREATE TABLE courtlistener.worker_totals (
    metric text NOT NULL,
    -- The value of the metric's label, empty if it has none.
    label  text NOT NULL DEFAULT '',
    total  double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (metric, label)
);
