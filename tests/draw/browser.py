"""A headless Chromium, and what the tests of the page ask it.

Chromium and its driver come from the system (Debian: ``apt-get install chromium chromium-driver``),
selenium from the extra ``test``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tinyseq.draw import Picture

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SIZE = (1280, 760)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing() -> str | None:
    """What is not there to run a browser; None if all is."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "pip install selenium"
    if not any(map(shutil.which, PROGRAMS)) or not shutil.which("chromedriver"):
        return "install Chromium and chromedriver (apt-get install chromium chromium-driver)"
    return None


class Browser:
    """One page at a time, opened from a file."""

    def __init__(self, folder: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = next(filter(None, map(shutil.which, PROGRAMS)))
        for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.folder = folder
        self.driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))

    def quit(self) -> None:
        self.driver.quit()

    def open(self, picture: Picture, size: tuple[int, int] = SIZE, **media: str) -> None:
        """Open the page of a picture, with media features such as prefers_color_scheme."""
        self.open_file(picture.save(self.folder / "page.html"), size, **media)

    def open_file(self, path: Path, size: tuple[int, int] = SIZE, **media: str) -> None:
        features = [{"name": k.replace("_", "-"), "value": v} for k, v in media.items()]
        self.devtools("Emulation.setEmulatedMedia", features=features)
        width, height = size
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.logs("browser"), self.logs("performance")  # of the page before
        self.driver.get(path.as_uri())

    # -- what went on -----------------------------------------------------------------------------

    def logs(self, kind: str) -> list[dict[str, Any]]:
        return self.driver.get_log(kind)

    def complaints(self) -> list[str]:
        """What is in the console."""
        return [entry["message"] for entry in self.logs("browser")]

    def requests(self) -> list[str]:
        """The addresses that were asked for since the page was opened."""
        messages = [json.loads(entry["message"])["message"] for entry in self.logs("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    # -- looking ----------------------------------------------------------------------------------

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def node(self, id: str) -> Any:
        """The element of a node: ``h`` of the circuit, ``h(3)`` of the unrolled graph."""
        return self.find(f'.node[data-id="{id}"]')

    def text(self, selector: str) -> str:
        """The text of an element, as it is shown."""
        return self.js("return document.querySelector(arguments[0]).innerText", selector)

    def ids(self, selector: str) -> set[str]:
        """The nodes that match a selector."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.dataset.id)"
        return set(self.js(script, selector))

    def places(self, layer: str) -> dict[str, tuple[float, float]]:
        """Where the nodes of a layer ("circuit" or "unrolled") stand, in points."""
        found = self.js(
            """return [...document.querySelectorAll(`#${arguments[0]} .node`)].map((e) => {
              const { e: x, f: y } = e.transform.baseVal.consolidate().matrix;
              return [e.dataset.id, x, y];
            })""",
            layer,
        )
        return {id: (x, y) for id, x, y in found}

    def focused(self) -> str | None:
        return self.js("return document.activeElement.dataset.id ?? null")

    def scale(self) -> float:
        """How many pixels a point of the picture has."""
        script = "return document.querySelector('#world').transform.baseVal.consolidate().matrix.a"
        return self.js(script)

    # -- doing ------------------------------------------------------------------------------------

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def hover(self, element: Any) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).move_to_element(element).perform()

    def set(self, slider: str, value: int) -> None:
        """Move a slider, as a person who drags it would."""
        self.js(
            """const slider = document.querySelector(arguments[0]);
            slider.value = arguments[1];
            slider.dispatchEvent(new Event("input", { bubbles: true }));""",
            slider,
            value,
        )

    def fold(self) -> list[tuple[float, dict[str, list[float]]]]:
        """Fold or unfold by key. Gives every frame on the way: u, and the places of the nodes."""
        frames = self.driver.execute_async_script(
            """const done = arguments[0], frames = [], picture = document.querySelector("#picture");
            const goal = Number(picture.dataset.u) === 0 ? 1 : 0;
            const look = () => {
              const u = Number(picture.dataset.u);
              const nodes = [...document.querySelectorAll("#unrolled .node")].map((e) => {
                const { e: x, f: y } = e.transform.baseVal.consolidate().matrix;
                return [e.dataset.id, [x, y]];
              });
              frames.push([u, Object.fromEntries(nodes)]);
              if (u === goal) done(frames);
              else requestAnimationFrame(look);
            };
            document.body.dispatchEvent(new KeyboardEvent("keydown", { key: " ", bubbles: true }));
            look();"""
        )
        return [(u, places) for u, places in frames]
