/**
 * The keeper's program for a POSIX shell. Arguments: its FIFO, the root's directory `run`, the command of the monitor.
 * Descriptor 3 reads the FIFO; a descriptor 4, where there is one, writes to the program's input.
 *
 * Lines are orders; end of file means that whoever held the container is dead. Then somebody else may start a monitor
 * within a second: its watcher, or another engine. The lock says whether a monitor lives. The file `monitor.tried`
 * chooses one keeper of many, and lets a monitor that cannot start be tried once a minute; a monitor that has taken over
 * removes it. Without flock(1) and setsid(1), of util-linux, only input is kept.
 */
export const keeperScript = `
fifo=$1 lock=$2/monitor.lock log=$2/monitor.log tried=$2/monitor.tried; shift 2
while :; do
  while read -r word; do
    case $word in
      stdin) exec 4>&- ;;
      leave) exit 0 ;;
    esac
  done <&3
  sleep 1 4>&-
  # Its container is gone, or has another keeper.
  [ /proc/self/fd/3 -ef "$fifo" ] || exit 0
  flock -n "$lock" true 4>&- || continue
  find "$tried" -mmin +1 -exec rm -f {} + 2>/dev/null
  if (set -C; : >"$tried") 2>/dev/null; then
    TSCONTAINER_ATTEMPT=0 setsid "$@" </dev/null >>"$log" 2>&1 3<&- 4>&- &
  fi
done
`
