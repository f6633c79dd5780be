"""A task beside an agent: started again after a crash, which is shown."""

import asyncio

from fakturo.consumers.runtime.beside import Beside


class Clumsy:
    """Crashes on its first run."""

    name = "clumsy"

    def __init__(self) -> None:
        self.runs = 0
        self.goes_on = asyncio.Event()

    async def run(self) -> None:
        """Crash, then go on."""
        self.runs += 1
        if self.runs == 1:
            raise RuntimeError("slipped")
        self.goes_on.set()
        await asyncio.Event().wait()

    async def check(self) -> tuple[bool, str]:
        """Say that all is well."""
        return True, "walks"


async def test_a_companion_that_crashes_is_started_again_and_the_crash_is_shown() -> None:
    clumsy = Clumsy()
    beside = Beside(clumsy, pause_seconds=0.01)
    assert await beside.check() == (True, "walks")
    running = asyncio.create_task(beside.run())
    await asyncio.wait_for(clumsy.goes_on.wait(), 5)
    assert await beside.check() == (False, "crashed: RuntimeError: slipped")
    running.cancel()
