"""The sensor that sees a new dump of bulk files: it becomes a partition, and where dumps are in use, a run.

Belongs here: when a dump counts as there. Does not belong here: reading it (`assets/bulk.py`).
"""

import dagster as dg

from courtlistener_assets.defs.assets.bulk import BULK_ASSETS, dumps
from courtlistener_assets.defs.jobs import BOOTSTRAP, CORPUS, Jobs
from courtlistener_assets.defs.names import BULK_CORPUS, Names
from courtlistener_assets.download.bulk.bootstrap import TABLES
from courtlistener_assets.download.bulk.source import BulkSource
from courtlistener_assets.settings import Settings
from resources.errors import DumpError

#: A dump appears four times a year.
_TICK_SECONDS = 6 * 3600


def new_dumps_sensor(settings: Settings, names: Names, jobs: Jobs) -> dg.SensorDefinition:
    """Make the sensor, which is off until it is turned on: it looks at a place on the internet."""
    partitions = dumps(names)
    # What a job makes last, by which it is known whether it has been in use.
    made = {job: asset for job, asset in ((BOOTSTRAP, BULK_ASSETS[-1]), (CORPUS, BULK_CORPUS)) if job in jobs}

    @dg.sensor(
        name=names.name("new_dumps"),
        jobs=[jobs[job] for job in made],
        minimum_interval_seconds=_TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Makes a partition of the bulk assets of each new dump at COURTLISTENER_BULK_URL; once a job "
        "has taken one, bootstrap or corpus, it takes every newer one.",
    )
    def new_dumps(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            day = BulkSource(settings.bulk_url).newest(TABLES).day.isoformat()
        except DumpError as error:
            return dg.SkipReason(str(error))
        known = context.instance.get_dynamic_partitions(str(partitions.name))
        if day in known:
            return dg.SkipReason(f"The dump of {day} is the newest, and known.")
        runs = []
        for job, asset in made.items():
            taken = context.instance.get_materialized_partitions(names.key(asset))
            if taken and day > max(taken):
                # As a tag: Dagster would look for the key among the partitions before it has made this one.
                tags = {"dagster/partition": day}
                runs.append(dg.RunRequest(run_key=f"{job} {day}", job_name=names.name(job), tags=tags))
        return dg.SensorResult(
            run_requests=runs,
            dynamic_partitions_requests=[partitions.build_add_request([day])],
        )

    return new_dumps
