# Rust and Nix code as their formatters want it, and no unused name in the latter.
{ pkgs, lib, ... }:
pkgs.runCommand "rcc-format"
  {
    nativeBuildInputs = with pkgs; [
      cargo
      deadnix
      nixfmt
      rustfmt
    ];
    src = import ./fixtures/source.nix { inherit lib; };
  }
  ''
    export CARGO_HOME=$TMPDIR
    cd $src
    cargo fmt --check
    find . -name '*.nix' -print0 | xargs -0 nixfmt --check
    deadnix --fail .
    touch $out
  ''
