# No lint of clippy's.
{ pkgs, lib, ... }:
pkgs.rcc.overrideAttrs (old: {
  pname = "rcc-clippy";
  src = import ./fixtures/source.nix { inherit lib; };
  nativeBuildInputs = old.nativeBuildInputs ++ [ pkgs.clippy ];
  buildPhase = ''
    runHook preBuild
    cargo clippy --offline --all-targets -- --deny warnings
    runHook postBuild
  '';
  installPhase = "touch $out";
})
