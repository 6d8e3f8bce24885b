# Every check of the flake: each file here makes one, each file in `vm/` is a test with machines.
{
  pkgs,
  self,
  nixpkgs,
  nix-darwin,
}:
let
  inherit (pkgs) lib;

  arguments = {
    inherit
      pkgs
      lib
      self
      nixpkgs
      nix-darwin
      ;
    tested = import ./fixtures/tested.nix { inherit pkgs lib; };
  };

  filesOf =
    directory:
    let
      isCheck = name: kind: kind == "regular" && lib.hasSuffix ".nix" name && name != "default.nix";
      check = name: lib.nameValuePair (lib.removeSuffix ".nix" name) (directory + "/${name}");
    in
    lib.listToAttrs (map check (lib.attrNames (lib.filterAttrs isCheck (builtins.readDir directory))));

  builds = lib.mapAttrs (_: file: import file arguments) (filesOf ./.);

  # A machine is the same on each platform that can run one.
  machines = lib.mapAttrs' (
    name: file:
    lib.nameValuePair "vm-${name}" (
      pkgs.testers.runNixOSTest {
        name = "rcc-${name}";
        imports = [
          ./fixtures/machine.nix
          file
        ];
      }
    )
  ) (filesOf ./vm);
in
builds // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux machines
