"""slo-generator's backend for client-side SLIs: exact counts of an objective, from `sli serve`.

Put this file where Python finds it (PYTHONPATH) and name `client_sli.ClientSliBackend` as the backend.
"""

import json
import urllib.parse
import urllib.request

TIMEOUT_S = 30


class ClientSliBackend:
    """Asks `sli serve` for good and valid attempts.

    Args:
        url: Base URL of `sli serve`, such as http://127.0.0.1:8090.
    """

    def __init__(self, client=None, url="http://127.0.0.1:8090"):
        self.open = client or urllib.request.urlopen
        self.url = url.rstrip("/")

    def good_bad_ratio(self, timestamp, window, slo_config):
        """Counts of the window that ends at `timestamp`, or where the numbers are complete if that is earlier.

        Args:
            timestamp: End of the window, seconds since the epoch.
            window: Length of the window, seconds.
            slo_config: Its `spec.service_level_indicator` names `app`, `journey` and `objective`.

        Returns:
            (good, bad), or None while nothing was valid.
        """
        indicator = slo_config["spec"]["service_level_indicator"]
        names = [indicator[key] for key in ("app", "journey", "objective")]
        path = "/".join(urllib.parse.quote(name, safe="") for name in names)
        query = urllib.parse.urlencode({"window_s": int(window), "until": int(timestamp)})
        with self.open(f"{self.url}/api/v1/slos/{path}/counts?{query}", timeout=TIMEOUT_S) as answer:
            counts = json.load(answer)
        return (counts["good"], counts["bad"]) if counts["valid"] else None
