"""What an org needs to answer queries and bulk jobs: made with its REST side, ended with it.

Place     rest/app.py makes it -> [this] -> rest/queries, rest/replication, rest/bulk_ingest, rest/bulk_query.
"""

from fakturo.cli.sandbox.bulk.ingest import Ingest
from fakturo.cli.sandbox.bulk.jobs import Jobs
from fakturo.cli.sandbox.bulk.query_jobs import QueryJobs
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.soql.execution import Queries
from fakturo.cli.sandbox.soql.locators import Locators


class Questions:
    """The queries, the answers that aren't read to the end, and the bulk jobs of one org."""

    def __init__(self, org: SandboxOrg) -> None:
        self.queries = Queries(org)
        self.locators = Locators(org.clock)
        self.jobs = Jobs(org)
        self.ingest = Ingest(self.jobs)
        self.query_jobs = QueryJobs(self.jobs, self.queries)

    async def close(self) -> None:
        """End the jobs that are at work."""
        await self.ingest.close()
        await self.query_jobs.close()
