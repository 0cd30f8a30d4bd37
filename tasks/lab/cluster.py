"""Bringing up one cluster, and taking its processes down again."""

import shutil
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tasks.lab import catalogue, control_plane, manifests, network, node
from tasks.lab.api import Api
from tasks.lab.processes import (
    Process,
    create_group,
    kill,
    kill_group,
    last_lines,
    pids,
    remove_group,
    start,
)
from tasks.lab.progress import LabError, say, wait_for
from tasks.lab.state import Cluster, Lab, faults

READY_SECONDS = 120


def processes(lab: Lab, cluster: Cluster) -> list[Process]:
    """Every process of a cluster, in the order they are started."""
    planes = [
        control_plane.apiserver(lab, cluster),
        control_plane.controller_manager(lab, cluster),
    ]
    if not lab.nodes:
        return planes
    first, *more = lab.nodes_of(cluster)
    return [
        node.containerd(lab, first),
        *planes,
        control_plane.scheduler(lab, cluster),
        node.kubelet(lab, first),
        node.proxy(lab, first),
        node.coredns(lab, first),
        *(run(lab, it) for it in more for run in (node.containerd, node.kubelet, node.proxy)),
    ]


def up(lab: Lab, cluster: Cluster) -> None:
    """
    Bring a cluster up, or whatever of it is missing; returns once its node is Ready and its images
    are there, without a node once its API server serves.
    """
    nodes = lab.nodes_of(cluster)
    for it in nodes:
        network.create_node(lab, it)
    for it in nodes[1:]:
        network.join_nodes(cluster, it)
    control_plane.write_files(lab, cluster)
    for it in nodes:
        node.write_files(lab, it)
    *first, apiserver = processes(lab, cluster)[: 2 if lab.nodes else 1]
    others = processes(lab, cluster)[len(first) + 1 :]
    began = time.monotonic()
    if not pids((*first, apiserver)[0]):
        say(f"{cluster.name}: starting")
    for it in nodes:
        create_group(node.pods_group(it))
    for process in first:
        start(process)
    if "apiserver-killed" in faults(cluster):
        say(f"{cluster.name}: fault apiserver-killed is on, so the API server is left dead")
        return
    start(apiserver)
    with ThreadPoolExecutor(len(nodes)) as pool:
        images: list[Future[None]] = []
        if lab.nodes:
            images.append(pool.submit(import_images, lab, cluster))
        api = Api(cluster)
        wait_for(
            f"{cluster.name}: API server",
            lambda: alive(apiserver) and api.ready(),
            READY_SECONDS,
            f"see {apiserver.log}",
        )
        for process in others:
            start(process)
        images += [pool.submit(import_images, lab, it) for it in nodes[1:]]
        manifests.apply(api, manifests.load("access.yaml"))
        if lab.azure:
            bind_operators(lab, api)
        if lab.nodes:
            for it in nodes:
                wait_until_ready(api, node.kubelet(lab, it), it)
            for done in images:
                done.result()
    if time.monotonic() - began > 1:
        say(f"{cluster.name}: Ready after {time.monotonic() - began:.1f} s")


def bind_operators(lab: Lab, api: Api) -> None:
    """Make the operators' group of Entra ID the cluster's administrators, as AKS does."""
    from tasks.lab.azure import fleet

    manifests.apply(api, manifests.load("azure.yaml", group=fleet.admins(lab)))


def wait_until_ready(api: Api, kubelet: Process, cluster: Cluster) -> None:
    """Wait until a node is Ready, as long as its kubelet runs."""
    wait_for(
        f"{cluster.name}: node Ready",
        lambda: alive(kubelet) and api.node_ready(cluster.name),
        READY_SECONDS,
        f"see {kubelet.log}",
    )


def alive(process: Process) -> bool:
    """
    Whether a process that must run does; raises `LabError` with its last words where it ended.
    """
    for _ in range(3):  # while a program takes another's place, /proc shows neither
        if pids(process):
            return True
        time.sleep(0.1)
    raise LabError(
        f"{process.scope}: {process.name} ended: {last_lines(process.log)} (see {process.log})"
    )


def import_images(lab: Lab, cluster: Cluster) -> None:
    """Give the cluster's containerd the images of the lab that it does not have."""
    containerd = node.containerd(lab, cluster)
    wait_for(
        f"{cluster.name}: containerd",
        lambda: alive(containerd) and cluster.containerd_socket.exists(),
        60,
        f"see {containerd.log}",
        every=0.05,
    )
    marks = cluster.root / "images"
    marks.mkdir(exist_ok=True)
    for name in catalogue.image_parts(lab.versions):
        mark = marks / lab.part(name).name
        if not mark.exists():
            _import(lab, cluster, lab.part(name))
            mark.touch()


def import_image(lab: Lab, cluster: Cluster, layout: Path) -> None:
    """Import one image, on each node of a cluster."""
    for it in lab.nodes_of(cluster):
        _import(lab, it, layout)


def _import(lab: Lab, cluster: Cluster, layout: Path) -> None:
    """
    Import one image on one node. Its blobs are put into containerd's store beforehand, as links to
    the cached ones: it then finds that it has them and copies nothing. Unpacking waits until a Pod
    needs it.
    """
    store = cluster.root / "containerd/io.containerd.content.v1.content/blobs/sha256"
    store.mkdir(parents=True, exist_ok=True)
    for blob in (layout / "blobs/sha256").iterdir():
        try:
            (store / blob.name).hardlink_to(blob)
        except FileExistsError:
            continue
        except OSError:  # another filesystem: it is copied
            break
    with subprocess.Popen(["tar", "-C", str(layout), "-c", "."], stdout=subprocess.PIPE) as tar:
        node.ctr(lab, cluster, "images", "import", "--local", "--no-unpack", "-", stdin=tar.stdout)


def stop(lab: Lab, cluster: Cluster) -> None:
    """End every process and container of a cluster."""
    kill(list(reversed(processes(lab, cluster))), seconds=2)
    groups = [node.pods_group(it) for it in lab.nodes_of(cluster)]
    left = [pid for it in groups for pid in kill_group(it)]
    for process in processes(lab, cluster):
        left += kill_group(process.group)
    if left:
        raise LabError(f"{cluster.name}: processes {left} do not end, even when killed")
    for it in groups:
        remove_group(it)


def wipe(lab: Lab, cluster: Cluster) -> None:
    """
    Forget all that a stopped cluster holds, but who it is: addresses, certificates and tokens stay.
    """
    for it in lab.nodes_of(cluster):
        for path in network.mounts():
            if path.startswith(f"{it.root}/"):
                network.run("umount", "--lazy", path)
        for entry in it.root.iterdir():
            if entry.name in {"pki", "users"}:
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
