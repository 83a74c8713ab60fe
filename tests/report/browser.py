"""A headless Chromium, driven through chromedriver's WebDriver interface."""
import base64
import json
import shutil
import subprocess
import tempfile
import urllib.request


def missing():
    """The program that is not installed; None where both are."""
    return next((name for name in ("chromium", "chromedriver") if not shutil.which(name)), None)


class Browser:
    """Until the end of a `with`; its profile goes with it."""

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="perch-chromium-")
        # Port 0: the driver takes a free one and says which.
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        try:
            for line in self.driver.stdout:
                if "started successfully on port" in line:
                    self.base = "http://127.0.0.1:" + line.rsplit(None, 1)[1].strip(".") + "/session"
                    break
            arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                         "--no-first-run", "--disable-background-networking",
                         "--disable-component-update", "--disable-sync", "--hide-scrollbars",
                         "--user-data-dir=" + self.profile.name]
            session = self._call("", {"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": arguments},
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}})
            self.base += "/" + session["sessionId"]
            self._call("/url", {"url": "about:blank"})  # what a new tab loads ends here
        except BaseException:
            self.driver.kill()
            raise
        return self

    def __exit__(self, *_):
        try:
            self._call("", method="DELETE")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()
            self.profile.cleanup()

    def _call(self, path, body=None, method="POST"):
        data = None if method == "DELETE" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, method=method,
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def devtools(self, command, **parameters):
        return self._call("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def show(self, url, width, height, scheme, media="screen"):
        """Loads a page anew; width and height in CSS pixels."""
        self._log("browser"), self._log("performance")
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=width < 600)
        self.devtools("Emulation.setEmulatedMedia", media=media,
                      features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._call("/url", {"url": url})

    def run(self, script, *arguments):
        return self._call("/execute/sync", {"script": script, "args": list(arguments)})

    def _log(self, kind):
        return self._call("/se/log", {"type": kind})

    def console(self):
        """Warnings and errors since the page was loaded."""
        return [entry["message"] for entry in self._log("browser")
                if entry["level"] in ("WARNING", "SEVERE")]

    def requests(self):
        """Addresses that the page has asked for since it was loaded."""
        events = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        return [event["params"]["request"]["url"] for event in events
                if event["method"] == "Network.requestWillBeSent"]

    def picture(self, top, width, height):
        """A piece of the page as PNG."""
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        return base64.b64decode(self.devtools("Page.captureScreenshot", format="png", clip=clip,
                                              captureBeyondViewport=True)["data"])
