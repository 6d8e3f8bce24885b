# `rcc run --dry-run` prints the plan as JSON and starts nothing.
ready
cd /home/dev/project || exit
plan() { as-user dev rcc run --dry-run "$@" -- touch started; }
check "the plan is JSON" bash -c 'as-user dev rcc run --dry-run -- touch started | python3 -m json.tool'
check "it names the project, the profile and the command" says /home/dev/project public started -- plan
check "it names another profile" says offline -- plan --profile offline
check "nothing was started" fails test -e started
check "and nothing is listed" says '^\[\]$' -- as-user dev rcc ps --json
nft delete table inet rcc
check "it needs no rules" says /home/dev/project -- plan
check "control: without --dry-run the command runs" as-user dev rcc run --profile offline -- touch started
check "control: it did" test -e started
as-user dev mkdir -p /home/dev/.config/rcc
check "the ceilings that nobody asked for are in it, and how they follow" \
    says '"default_limits"' "memory: .* of this machine's" '"enforced"' -- plan
check "and in the configuration that holds" says "limits.memory = [0-9]+ +# default: .* of this machine's" -- \
    as-user dev rcc config show
as-user dev tee /home/dev/.config/rcc/config.toml >/dev/null <<<'limits.memory = "none"'
check "none takes one away" says 'limits.memory = "none"' -- as-user dev rcc config show
check "and the plan has none" never_says '"memory: ' -- plan
rm /home/dev/.config/rcc/config.toml
