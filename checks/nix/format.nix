# Rust, Nix and shell code as their formatters and linters want it.
{ pkgs, lib, ... }:
pkgs.runCommand "rcc-format"
  {
    nativeBuildInputs = with pkgs; [
      cargo
      deadnix
      nixfmt
      rustfmt
      shellcheck
    ];
    src = import ./fixtures/source.nix { inherit lib; };
  }
  ''
    cd $src
    cargo fmt --check
    find . -name '*.nix' -print0 | xargs -0 nixfmt --check
    deadnix --fail .
    shellcheck checks/run checks/lib/{world,scenario,as-user} checks/scenarios/*.sh
    touch $out
  ''
