import type { ProfileRule } from './profile-rule.ts'

const words = (text: string): readonly string[] => text.trim().split(/\s+/)

const harmless = words(`
  accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
  clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
  clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
  epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
  exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2
  fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
  fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait
  futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid
  getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom
  getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt
  get_thread_area gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init
  inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64
  ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
  lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek
  lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod
  mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
  mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync
  munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open
  pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv
  preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink
  readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename
  renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
  rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
  sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler
  sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
  sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile
  sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32
  setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32
  setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 setxattr setxattrat
  shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair
  splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee
  tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
  timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64
  ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4
  waitid waitpid write writev
`)

const withCapability = (capability: string, names: string): ProfileRule => ({
  names: words(names),
  action: 'allow',
  includes: { capabilities: [capability] },
})

// The kernel takes these arguments as 32 bits, whatever is above.
const socketFamily = (op: 'lt' | 'eq' | 'gt', value: number): ProfileRule => ({
  names: ['socket'],
  action: 'allow',
  args: [{ index: 0, op, value, bits: 32 }],
})
const personality = (value: number): ProfileRule => ({
  names: ['personality'],
  action: 'allow',
  args: [{ index: 0, op: 'eq', value, bits: 32 }],
})

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. */
const newNamespaces = 0x7e02_0000
const s390 = ['s390', 's390x']

/**
 * The system calls that Docker lets containers make, as rules of our own: what is named is allowed, the rest fails with
 * EPERM. Facts from Docker's default profile (github.com/moby/profiles, Apache-2.0), 2026.
 */
export const defaultProfile: readonly ProfileRule[] = [
  { names: harmless, action: 'allow' },
  // Before 4.8 a tracer could change a call after the filter had seen it.
  { names: words('process_vm_readv process_vm_writev ptrace'), action: 'allow', includes: { minKernel: '4.8' } },
  // All but AF_ALG (38), a door to kernel code with a record of faults, and AF_VSOCK (40), which knows no namespaces.
  socketFamily('lt', 38),
  socketFamily('eq', 39),
  socketFamily('gt', 40),
  // Linux, Linux32, each with or without UNAME26, and asking.
  personality(0),
  personality(8),
  personality(0x2_0000),
  personality(0x2_0008),
  personality(0xffff_ffff),
  { names: words('sync_file_range2 swapcontext'), action: 'allow', includes: { architectures: ['ppc64le'] } },
  {
    names: words('arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls'),
    action: 'allow',
    includes: { architectures: ['arm', 'arm64'] },
  },
  { names: words('arch_prctl modify_ldt'), action: 'allow', includes: { architectures: ['amd64'] } },
  { names: ['modify_ldt'], action: 'allow', includes: { architectures: ['386'] } },
  {
    names: words('s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr'),
    action: 'allow',
    includes: { architectures: s390 },
  },
  { names: ['riscv_flush_icache'], action: 'allow', includes: { architectures: ['riscv64'] } },
  withCapability('CAP_DAC_READ_SEARCH', 'open_by_handle_at'),
  withCapability(
    'CAP_SYS_ADMIN',
    `bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare`,
  ),
  {
    names: ['clone'],
    action: 'allow',
    args: [{ index: 0, op: 'masked_eq', mask: newNamespaces, value: 0 }],
    excludes: { capabilities: ['CAP_SYS_ADMIN'], architectures: s390 },
  },
  {
    // The order of its parameters differs there.
    names: ['clone'],
    action: 'allow',
    args: [{ index: 1, op: 'masked_eq', mask: newNamespaces, value: 0 }],
    includes: { architectures: s390 },
    excludes: { capabilities: ['CAP_SYS_ADMIN'] },
  },
  // Its flags lie in memory, where no filter sees them: the C library falls back to clone on ENOSYS.
  { names: ['clone3'], action: { errno: 38 }, excludes: { capabilities: ['CAP_SYS_ADMIN'] } },
  withCapability('CAP_SYS_BOOT', 'reboot'),
  withCapability('CAP_SYS_CHROOT', 'chroot'),
  withCapability('CAP_SYS_MODULE', 'delete_module init_module finit_module'),
  withCapability('CAP_SYS_PACCT', 'acct'),
  withCapability('CAP_SYS_PTRACE', 'kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace'),
  withCapability('CAP_SYS_RAWIO', 'iopl ioperm'),
  withCapability('CAP_SYS_TIME', 'settimeofday stime clock_settime clock_settime64'),
  withCapability('CAP_SYS_TTY_CONFIG', 'vhangup'),
  withCapability('CAP_SYS_NICE', 'get_mempolicy mbind set_mempolicy set_mempolicy_home_node'),
  withCapability('CAP_SYSLOG', 'syslog'),
  withCapability('CAP_BPF', 'bpf'),
  withCapability('CAP_PERFMON', 'perf_event_open'),
]
