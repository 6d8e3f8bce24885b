# What the package holds, and that the unit starts this very package's program.
{ pkgs, lib, ... }:
pkgs.runCommand "rcc-package" { } (
  ''
    export HOME=$TMPDIR
    ${lib.getExe pkgs.rcc} --version | grep -F ${lib.escapeShellArg pkgs.rcc.version}
    test -e ${pkgs.rcc}/share/man/man1/rcc.1.gz
    test -e ${pkgs.rcc}/share/bash-completion/completions/rcc.bash
  ''
  + lib.optionalString pkgs.stdenv.hostPlatform.isLinux ''
    unit=${pkgs.rcc}/lib/systemd/system/rcc-firewall.service
    grep -F "ExecStart=${lib.getExe pkgs.rcc} " $unit
    for manager in system user; do
      grep -F "ExecStart=${lib.getExe pkgs.rcc} relay start" ${pkgs.rcc}/lib/systemd/$manager/rcc-relay.service
      test -s ${pkgs.rcc}/lib/systemd/$manager/rcc-relay.socket
      grep -F "ExecStart=${lib.getExe pkgs.rcc} relay bridge" ${pkgs.rcc}/lib/systemd/$manager/rcc-relay-bridge.service
    done
    # What runs inside of sandboxes is looked for beside it.
    ${pkgs.rcc}/bin/rcc-guest --version | grep -F ${lib.escapeShellArg pkgs.rcc.version}
    if ${pkgs.binutils}/bin/readelf --program-headers ${pkgs.rcc}/bin/rcc-guest | grep INTERP; then exit 1; fi
    # The programs that it starts are the package's own dependencies.
    grep -aF ${pkgs.passt}/bin ${lib.getExe pkgs.rcc} >/dev/null
    grep -aF ${pkgs.nftables}/bin ${lib.getExe pkgs.rcc} >/dev/null
  ''
  + "touch $out"
)
