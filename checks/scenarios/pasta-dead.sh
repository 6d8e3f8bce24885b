# Without its pasta a sandbox has no network at all; nothing takes pasta's place.
ready
for user in dev root; do
    beat=$(token)
    beat "$user" "$beat" 203.0.113.10 443
    launcher=$!
    check "$user: a sandbox is beating" within 10 beating "$beat"
    pasta=$(processes "pas[st]*")
    check "$user: pasta has an identity's uid, neither the user's nor root's" \
        says '^Uid:\s1919[0-9]{6}\s1919' -- cat "/proc/${pasta%%$'\n'*}/status"
    # shellcheck disable=SC2086
    kill -9 $pasta
    sleep 1
    check "$user: pasta killed, network gone" silent "$beat"
    check "$user: and it says so" says pasta -- cat "/run/$beat"
    kill "$launcher" 2>/dev/null
    wait "$launcher" 2>/dev/null
    check "$user: no pasta is left" within 1 no_pasta

    beat=$(token)
    beat "$user" "$beat" 203.0.113.10 443
    launcher=$!
    check "$user: a second sandbox is beating" within 10 beating "$beat"
    kill -9 "$launcher"
    wait "$launcher" 2>/dev/null
    check "$user: launcher killed, its pasta is gone" within 1 no_pasta
    check "$user: and silent" silent "$beat"
done
