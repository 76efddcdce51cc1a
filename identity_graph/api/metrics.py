"""Requests counted and timed, in the text format of Prometheus."""

from collections import defaultdict

#: Upper bounds in seconds.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Used from the event loop only."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, int], int] = defaultdict(int)
        self._buckets: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self._seconds: dict[str, float] = defaultdict(float)

    def count(self, route: str, status: int, seconds: float) -> None:
        self._requests[route, status] += 1
        self._seconds[route] += seconds
        buckets = self._buckets[route]
        for index, bound in enumerate(BUCKETS):
            if seconds <= bound:
                buckets[index] += 1
                return
        buckets[-1] += 1

    def text(self) -> str:
        lines = [
            "# HELP identity_graph_requests_total Requests by route and status.",
            "# TYPE identity_graph_requests_total counter",
        ]
        for (route, status), count in sorted(self._requests.items()):
            lines.append(f'identity_graph_requests_total{{route="{route}",status="{status}"}} {count}')
        lines += [
            "# HELP identity_graph_request_seconds How long requests took.",
            "# TYPE identity_graph_request_seconds histogram",
        ]
        for route, buckets in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), buckets, strict=True):
                total += count
                lines.append(f'identity_graph_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}')
            lines.append(f'identity_graph_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}')
            lines.append(f'identity_graph_request_seconds_count{{route="{route}"}} {total}')
        return "\n".join(lines) + "\n"
