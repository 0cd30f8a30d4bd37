"""
A Redis on a cluster of the lab, and the image of Envoy's rate limit service: with
``rate_limit_redis`` in the inventory the controller runs that beside itself, and all proxies count
together.
"""

from collections.abc import Mapping
from pathlib import Path

from tasks.lab import catalogue, cluster, debian, golang, manifests, sample
from tasks.lab.api import Api
from tasks.lab.catalogue import NAMES
from tasks.lab.images import Image
from tasks.lab.parts import Part
from tasks.lab.progress import say, wait_for
from tasks.lab.state import Cluster, Lab

NAME, NAMESPACE = "redis", "shared"
#: What ``rate_limit_redis`` says on a cluster that has it.
ADDRESS = f"{NAME}.{NAMESPACE}.svc:6379"
MODULE = f"github.com/envoyproxy/ratelimit@v{catalogue.RATELIMIT}"
# One program that is what it is called; Debian's redis-server is a link to it.
PROGRAM, LIBRARIES = "redis-check-rdb", "lib/x86_64-linux-gnu"
# What it is linked to and few machines have: package -> file.
LINKED = {
    "libatomic1": f"usr/{LIBRARIES}/libatomic.so.1",
    "libgcc-s1": f"{LIBRARIES}/libgcc_s.so.1",
    "libjemalloc2": f"usr/{LIBRARIES}/libjemalloc.so.2",
    "liblzf1": f"usr/{LIBRARIES}/liblzf.so.1",
    "libstdc++6": f"usr/{LIBRARIES}/libstdc++.so.6",
}


def parts() -> list[Part]:
    """Both programs and their images; no lab is made of them."""
    service = Part(
        name="ratelimit",
        files=("service_cmd",),
        make=golang.install(MODULE, ("src/service_cmd",)),
        how="building Envoy's rate limit service from its Go module (1 min)",
        pins=(MODULE, golang.SUMS[MODULE]),
        needs=golang.needs(),
    )
    names = tuple(Path(it).name for it in LINKED.values())
    redis = Part(
        name=NAME,
        files=(PROGRAM, *names),
        make=debian.together(
            debian.unpack("redis-tools", f"usr/bin/{PROGRAM}"),
            *(debian.unpack(package, file) for package, file in LINKED.items()),
        ),
        how="unpacking Debian's redis (10 s)",
        pins=(catalogue.REDIS,),
    )
    linked = tuple((it, f"/{LIBRARIES}/{it}") for it in names)
    pictures = [
        Image(NAMES.ratelimit, service.name, "service_cmd", "/bin/ratelimit"),
        Image(NAMES.redis, NAME, PROGRAM, "/usr/bin/redis-server", libraries=True, more=linked),
    ]
    made = [service, redis]
    return [*made, *map(catalogue.picture, pictures, made)]


def install(lab: Lab, member: Cluster, found: Mapping[str, Path]) -> None:
    """
    Run the Redis on a cluster, and give it the image of the service.

    + found: the folders of ``parts``
    """
    api = Api(member)
    for name in ("ratelimit", NAME):
        cluster.import_image(lab, member, found[f"image-{name}"])
    manifests.apply(api, manifests.load("redis.yaml", image=NAMES.redis))
    wait_for(
        f"{member.name}: Deployment {NAMESPACE}/{NAME}",
        lambda: sample.available(api, NAME, NAMESPACE),
        180,
        f"see `kubectl --context {member.name} logs --namespace {NAMESPACE} deploy/{NAME}`",
    )
    say(f'{member.name}: a Redis runs for "rate_limit_redis": "{ADDRESS}"')


def remove(member: Cluster) -> None:
    """Take the Redis away again; what was counted in it is gone."""
    for it in reversed(manifests.load("redis.yaml", image=NAMES.redis)):
        manifests.delete(Api(member), manifests.path_of(it))
    say(f"{member.name}: the Redis is gone")
