import { existsSync, readFileSync } from 'node:fs'
import { memo } from './memo.ts'

/** Whether systemd is the init system and its bus can be asked for scopes. Source: sd_booted(3). */
export const hasSystemd: () => boolean = memo(
  () =>
    existsSync('/run/systemd/system') &&
    (existsSync('/run/systemd/private') || existsSync('/run/dbus/system_bus_socket')) &&
    readFileSync('/proc/1/comm', 'utf8').trim() === 'systemd',
)
