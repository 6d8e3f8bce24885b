# What working on rcc takes.
{ pkgs }:
pkgs.mkShell {
  inputsFrom = [ pkgs.rcc ];
  # What is built here finds pasta and nft as the package does: rcc never asks PATH.
  env.RCC_PROGRAM_DIRS = pkgs.rcc.programDirs;
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
