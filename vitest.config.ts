import { defineConfig } from 'vitest/config'

// Sources run as they are: the custom condition lets `tscontainer/driver-kit` resolve to src instead of dist, in the
// tests, in the worker threads they start (execArgv is inherited) and in the processes those spawn.
const conditions = ['tscontainer-source', 'node', 'import', 'module', 'default']
const execArgv = ['--conditions=tscontainer-source']

/** Tests in throw-away machines, side by side. */
const inMachines = ['src/testing/system/pure-v2.test.ts', 'src/testing/system/storage-vm.test.ts']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'drivers/**/*.test.ts', 'plugins/**/*.test.ts'],
          exclude: ['**/*.root.test.ts', '**/*.types.test.ts', 'src/testing/system/**'],
          pool: 'forks',
          execArgv,
          testTimeout: 20_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'root',
          include: ['src/**/*.root.test.ts', 'drivers/**/*.root.test.ts', 'plugins/**/*.root.test.ts'],
          exclude: ['src/testing/system/**'],
          pool: 'forks',
          execArgv,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'system',
          include: ['src/testing/system/**/*.test.ts'],
          exclude: inMachines,
          pool: 'forks',
          fileParallelism: false,
          execArgv,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'vm',
          include: inMachines,
          pool: 'forks',
          // A machine has one processor.
          maxWorkers: 2,
          execArgv,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})
