# A sandbox reaches the public internet and nothing private, over IPv4 and IPv6, by TCP, UDP and ICMP.
ready
for user in dev root; do
    check "control: $user outside of a sandbox reaches every place" \
        reach --all -- as-user "$user"
    check "$user in profile public reaches the public places alone" \
        reach -- as-user "$user" rcc run --
    check "$user in profile offline reaches nothing" \
        reach --none -- as-user "$user" rcc run --profile offline --
    check "control: $user outside still reaches every place" \
        reach --all -- as-user "$user"
done
