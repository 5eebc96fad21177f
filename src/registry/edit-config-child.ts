// Logs in and out again and again in a config.json, for tests with several processes. Arguments: file, own name, rounds.
import { eraseCredentials, storeCredentials } from './docker-config-store.ts'

const [file = '', name = '', rounds = '1'] = process.argv.slice(2)
const noHelper = () => Promise.reject(new Error('no helper is to be run'))
for (let round = 0; round < Number(rounds); round++) {
  const registry = `${name}-${round}.example`
  await storeCredentials(file, noHelper, registry, { username: name, password: 'secret' })
  await storeCredentials(file, noHelper, `passing-${registry}`, { username: name, password: 'secret' })
  if (!(await eraseCredentials(file, noHelper, `passing-${registry}`))) throw new Error(`${registry} was lost`)
}
