# What working on rcc takes.
{ pkgs }:
pkgs.mkShell {
  inputsFrom = [ pkgs.rcc ];
  packages =
    with pkgs;
    [
      clippy
      deadnix
      mdbook
      nixfmt
      python3
      rust-analyzer
      rustfmt
      shellcheck
    ]
    ++ lib.optionals stdenv.hostPlatform.isLinux [
      iproute2
      nftables
      passt
    ];
}
