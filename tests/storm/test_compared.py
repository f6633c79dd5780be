"""Every table and column of the books is compared after a storm, or left out for a reason: seen without a storm."""

import asyncpg

from tests.storm.books import undecided


async def test_the_comparison_says_of_every_table_and_column_what_is_done(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        assert await undecided(connection) == []
    finally:
        await connection.close()
