# The rcc package. The programs that it starts are build-time constants: it never asks the caller's
# PATH, which a project may have changed.
{
  lib,
  stdenv,
  buildPackages,
  rustPlatform,
  installShellFiles,
  git,
  nftables,
  passt,
}:
let
  manifest = lib.importTOML ../Cargo.toml;
  canExecute = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
  # newuidmap is not among them: only a setuid one works, /run/wrappers' or the distribution's.
  programDirs = lib.makeBinPath (
    [ git ]
    ++ lib.optionals stdenv.hostPlatform.isLinux [
      nftables
      passt
    ]
  );
  emulator = lib.optionalString (!canExecute) (stdenv.hostPlatform.emulator buildPackages);
in
rustPlatform.buildRustPackage {
  pname = manifest.package.name;
  inherit (manifest.package) version;

  src = lib.fileset.toSource {
    root = ../.;
    # Cargo wants to see every target of the manifest, tests and benchmarks too.
    fileset = lib.fileset.unions [
      ../Cargo.lock
      ../Cargo.toml
      ../benches
      ../plugins
      ../src
      ../tests
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;

  env.RCC_PROGRAM_DIRS = programDirs;
  passthru = { inherit programDirs; };

  nativeBuildInputs = [ installShellFiles ];

  # Whatever image it runs in, nothing of that takes part. Without it, only container engines are refused.
  postBuild = lib.optionalString stdenv.hostPlatform.isGnu ''
    cargo rustc --release --offline --target ${stdenv.hostPlatform.rust.rustcTarget} --bin rcc-guest -- \
      -C target-feature=+crt-static -L native=${stdenv.cc.libc.static}/lib ||
      echo "rcc-guest is not linked statically: no container engine takes it" >&2
  '';

  # They make namespaces and load firewall rules, which no build sandbox allows: see `checks/`.
  doCheck = false;

  postInstall = ''
    export HOME=$TMPDIR
    rcc() { ${emulator} $out/bin/rcc "$@"; }
    for shell in bash fish zsh; do
      rcc completions $shell >rcc.$shell
    done
    installShellCompletion rcc.{bash,fish,zsh}
    rcc man >rcc.1
    installManPage rcc.1
  ''
  + lib.optionalString stdenv.hostPlatform.isLinux ''
    mkdir -p $out/lib/systemd/system
    rcc init --print-unit >$out/lib/systemd/system/rcc-firewall.service
    mkdir -p $out/lib/systemd/user
    for unit in socket service; do
      rcc relay install --print=$unit >$out/lib/systemd/user/rcc-relay.$unit
      rcc relay install --system --print=$unit >$out/lib/systemd/system/rcc-relay.$unit
    done
    rcc relay install --print=bridge >$out/lib/systemd/user/rcc-relay-bridge.service
    rcc relay install --system --print=bridge >$out/lib/systemd/system/rcc-relay-bridge.service
    rcc plugin unit >$out/lib/systemd/system/rcc-plugins@.service
  '';

  meta = {
    inherit (manifest.package) description;
    license = lib.licenses.mit;
    mainProgram = "rcc";
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
      "aarch64-darwin"
    ];
  };
}
