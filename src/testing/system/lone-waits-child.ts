// Does things with a detached container while nothing else keeps this process alive. Arguments: root, container.
// The built package: it starts several times faster.
import { Engine } from 'tscontainer'

const [root = '', id = ''] = process.argv.slice(2)
for (let round = 0; round < 30; round++) {
  await using engine = await Engine.open({ root, diagnostics: () => {} })
  await (await engine.containers.get(id)).exec(['true'])
}
await using engine = await Engine.open({ root, diagnostics: () => {} })
const container = await engine.containers.get(id)
const program = await container.spawn(['sh', '-c', 'exec >/dev/null 2>&1; sleep 0.3; exit 7'])
process.stdout.write(`exec ${(await program.wait()).exitCode}\n`)
await container.pause()
await container.unpause()
for await (const { text } of container.logs({ follow: true })) if (text === '3') break
process.stdout.write('logs\n')
const ended = container.wait()
await container.kill('SIGTERM')
process.stdout.write(`wait ${(await ended).exitCode}\n`)
for await (const _ of container.logs({ follow: true }));
process.stdout.write('end\n')
