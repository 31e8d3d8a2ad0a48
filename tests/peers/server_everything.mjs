// `@modelcontextprotocol/server-everything` on a port of its own choice.
//
//   node server_everything.mjs          over Streamable HTTP; prints one JSON line with its url once it listens
//   node server_everything.mjs --sse    over HTTP+SSE
//
// The package takes its port from the environment and does not say which one it got for 0.
import net from 'node:net';

const sse = process.argv.includes('--sse');
const emit = net.Server.prototype.emit;
net.Server.prototype.emit = function (event, ...rest) {
    if (event === 'listening') {
        const url = `http://127.0.0.1:${this.address().port}/${sse ? 'sse' : 'mcp'}`;
        process.stdout.write(`${JSON.stringify({ fact: 'listening', url })}\n`);
    }
    return emit.call(this, event, ...rest);
};
process.env.PORT = '0';
// Its log goes to stdout; only our line shall.
console.log = console.error;
await import(`@modelcontextprotocol/server-everything/dist/transports/${sse ? 'sse' : 'streamableHttp'}.js`);
