import { expect } from 'chai';
import { freshSqlite } from '../../support/databases.js';
import { FormBrowser, roundRobin } from '../../support/form-browser.js';
import { Cluster } from '../../support/nodes.js';
import { seedUser, seedWebClient, signIn } from '../../support/people.js';
describe('try', () => {
  it('works', async () => {
    const db = await freshSqlite();
    const cluster = new Cluster({ url: db.url, onLog: line => { if (/"level":"?(error|50|warn)/.test(line)) console.log(line.slice(0, 2000)); } });
    await cluster.start({ hasTimers: false });
    const person = await seedUser(cluster);
    const rp = await seedWebClient(cluster, { requirePkce: false });
    const browser = new FormBrowser({ pick: roundRobin(cluster.nodes) });
    const attempt = rp.attempt();
    try {
      const t = Date.now();
      const tokens = await rp.tokens(attempt, await signIn(browser, attempt.url, person));
      console.log(tokens.claims, Date.now() - t);
      console.log((await rp.userinfo(tokens.accessToken)).text);
      expect(1).to.equal(1);
    } finally { for (const e of browser.exchanges) console.log(e.method, e.url.slice(0,200), e.status, e.headers.location?.slice(0,100)); await cluster.close(); }
  });
});
