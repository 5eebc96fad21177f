import { defineConfig } from 'vitest/config'

// Sources run as they are: the custom condition lets `tscontainer/driver-kit` resolve to src instead of dist, in the
// tests, in the worker threads they start (execArgv is inherited) and in the processes those spawn.
const conditions = ['tscontainer-source', 'node', 'import', 'module', 'default']
const execArgv = ['--conditions=tscontainer-source']

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
          // The kernel for the throw-away machine exists for x86-64 only.
          exclude:
            process.arch === 'x64'
              ? []
              : ['src/testing/system/pure-v2.test.ts', 'src/testing/system/storage-vm.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          execArgv,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
