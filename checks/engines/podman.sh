# By Podman without root a sandbox is as it is without an engine: what it sees, what it reaches, how it ends.
#
# It needs podman and crun, and an image at /run/checks/../target/checks/image/bookworm.tar (checks/engines/run).
# shellcheck source=/dev/null
. "$lib/relay"
# shellcheck source=/dev/null
. "$lib/plugins"
ready
export PYTHONPATH=$lib PYTHONDONTWRITEBYTECODE=1
umount -l /sys/fs/cgroup 2>/dev/null
mount -t cgroup2 none /sys/fs/cgroup || broken "cgroup v2" /dev/null
mkdir -p /home/dev/.config/containers
# containers [LINE...]: dev's containers.conf. This machine may hand no cgroups to users.
containers() {
    printf '%s\n' '[containers]' 'cgroups = "disabled"' "$@" '[engine]' 'cgroup_manager = "cgroupfs"' \
        'events_logger = "none"' "runtime = \"${oci-crun}\"" >/home/dev/.config/containers/containers.conf
}
containers
chown -R dev:dev /home/dev/.config
runtime=podman
as_dev=(as-user dev)
import() { as-user dev podman import -q "${@:3}" "$1" "$2"; }
import "$IMAGE" localhost/agent >/run/import.log 2>&1 || broken "an image is there" /run/import.log
# shellcheck source=/dev/null
. "$lib/../engines/same"

containers 'volumes = ["/home/dev/.ssh:/keys"]'
check "what containers.conf adds is refused" says 'mounted on /keys' -- exits 125 offline true
oci=runc containers
check "an OCI runtime with known ways out is refused" says 'CVE-2025-31133' 'crun' -- exits 125 offline true
containers
check "nothing is left at the end" within 5 none_left

# Before `rcc init` a Podman that runs already.
as-user dev podman system migrate >/dev/null 2>&1
cp -a /etc/subuid /etc/subgid /run/
echo dev:100000:65536 | tee /etc/subuid >/etc/subgid
as-user dev podman unshare true
cp -a /run/subuid /run/subgid /etc/
check "a Podman that is older than the identities is refused, with the remedy" \
    says 'does not know the network identity' 'podman system migrate' -- exits 125 rcc_run -- true
check "migrated" as-user dev podman system migrate
check "it runs" rcc_run -- true
