import { leaveCgroups } from './leave-cgroup.ts'

/**
 * The guard's program for a POSIX shell, without any tool beyond grep, cat, find, mkdir, rmdir and sleep.
 *
 * Arguments: how many cgroup roots to leave to, those roots, the marker as it stands in /proc/<pid>/environ, the
 * directory whose processes are to be ended, then every directory that is to be removed.
 *
 * It says `ready`, then waits for a line on its input. The line `leave` lets it go; the end of input without a line means
 * that the engine is dead.
 */
export const guardScript = `
trap '' HUP INT TERM QUIT USR1 USR2 PIPE
umask 022
${leaveCgroups}
marker=$1 group=$2; shift 2
echo ready
exec >/dev/null 2>&1
read -r order && [ "$order" = leave ] && exit 0
exec </dev/null

# Programs that the engine had just started may not be in a cgroup yet: they are found by their environment.
end_marked() {
  for file in $(grep -lzxF -e "$marker" /proc/[0-9]*/environ); do
    pid=\${file#/proc/}; pid=\${pid%/environ}
    kill -KILL "$pid" && found=1
  done
}
# A process of an outer pid namespace reads as 0, and signalling 0 would end the guard.
members() {
  find "$group" -name cgroup.procs -exec cat {} + | grep -vx 0
}
end_group() {
  [ -d "$group" ] || return
  pids=$(members)
  [ -n "$pids" ] || return
  found=1
  if [ -e "$group/cgroup.kill" ]; then
    echo 1 >"$group/cgroup.kill"
  else
    # Frozen processes cannot fork; SIGKILL reaches them when they are thawed.
    [ -e "$group/freezer.state" ] && echo FROZEN >"$group/freezer.state"
    kill -KILL $(members)
    find "$group" -depth -name freezer.state | while read -r file; do echo THAWED >"$file"; done
  fi
}

quiet=0 passes=0
# Four quiet passes: a program that was between fork and exec has its marker only now.
while [ $quiet -lt 4 ] && [ $passes -lt 2000 ]; do
  found=
  end_marked
  end_group
  if [ -n "$found" ]; then quiet=0; else quiet=$((quiet + 1)); fi
  passes=$((passes + 1))
  # After a second only what is stuck in the kernel is left.
  if [ $passes -lt 100 ]; then sleep 0.015; else sleep 0.5; fi
done
for try in 1 2 3 4 5; do
  left=
  for directory; do
    [ -d "$directory" ] || continue
    find "$directory" -depth -type d -exec rmdir {} +
    [ -d "$directory" ] && left=1
  done
  [ -n "$left" ] || exit 0
  sleep 0.05
done
`
