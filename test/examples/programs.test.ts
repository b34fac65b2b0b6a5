import { expect } from 'chai';
import { Examples } from './running-example.js';

/** What the orders API says to a token that it has verified. */
const ORDERS = /\{"orders":\[\{"order":1,"of":"us_\w+"\}\],"asked_by":"cl_\w+"\}/;

describe('the examples that are programs', function () {
  this.timeout(120_000);
  let examples: Examples;
  before(async () => {
    examples = await Examples.open();
  });
  after(() => examples?.close());

  it('sign a person in by a code that is entered elsewhere (RFC 8628)', async () => {
    const program = await examples.start('device-cli');
    const [, address = '', code = ''] = await program.saying(/Open (\S+) on any device and enter (\S+)/);
    const browser = examples.demo.browser();
    await browser.get(address);
    await browser.submit('form:has(input[name="user_code"])', { user_code: code });
    await browser.submit('form:has([name="confirm"])', {}, { button: '[name="confirm"]' });
    await examples.demo.answerPages(browser);
    expect(await program.ended, program.complaints()).to.equal(0);
    expect(program.said()).to.include(`Signed in as ${examples.demo.facts.user.email}`).and.match(ORDERS);
  });

  it('say so when the person refuses the code', async () => {
    const program = await examples.start('device-cli');
    const [, address = '', code = ''] = await program.saying(/Open (\S+) on any device and enter (\S+)/);
    const browser = examples.demo.browser();
    await browser.get(address);
    await browser.submit('form:has(input[name="user_code"])', { user_code: code });
    await browser.submit('form:has([name="abort"])', {}, { button: '[name="abort"]' });
    expect(await program.ended).to.equal(1);
    expect(program.complaints()).to.equal('You said no. Start again.\n');
  });

  it('sign a person in by the system’s browser and a loopback redirect (RFC 8252)', async () => {
    const program = await examples.start('native-loopback');
    const [, address = ''] = await program.saying(/Open (\S+)/);
    const browser = examples.demo.browser();
    await browser.get(address);
    await examples.demo.answerPages(browser);
    const { departure } = browser.landing;
    expect(departure?.uri, browser.describe()).to.match(/^http:\/\/127\.0\.0\.1:\d+\/callback$/);
    expect(await (await fetch(departure?.url ?? '')).text()).to.equal('You can close this window.');
    expect(await program.ended, program.complaints()).to.equal(0);
    expect(program.said()).to.include(`Signed in as ${examples.demo.facts.user.email}`).and.match(ORDERS);
  });
});
