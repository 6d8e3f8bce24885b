# The scenarios of container engines, in worlds on the booted machine, with its Podman.
. "$lib/../vm/words"
. "$lib/../vm/agent-image"
boot
login dev
tar -C "$lib/../.." -c checks/lib checks/engines | vm tar -C /root -x
agent_image
vm 'mv /home/dev/image.tar /var/lib/agent.tar'
export VM_TIMEOUT=1500
check podman vm "RCC=/usr/local/libexec/rcc/rcc IMAGE=/var/lib/agent.tar \
    /root/checks/lib/world /run/checks/lib/scenario /run/checks/engines/podman.sh"
