import { expect } from 'chai';
import { freshSqlite } from '../../support/databases.js';
import { PeopleScene } from './people-scene.js';

describe('mails in development', () => {
  async function shown(env: Record<string, string>): Promise<{ status: number; text: string }> {
    const database = await freshSqlite();
    const people = await PeopleScene.open({ url: database.url, env });
    try {
      const ada = await people.scene.person();
      const browser = people.scene.browser();
      await browser.get('/forgot');
      await browser.submit('main form', { email: ada.email });
      await people.tick();
      return await browser.get('/development/mail');
    } finally {
      await people.close();
      await database.drop();
    }
  }

  it('can be read at a page, link and all, where there is no mail server', async () => {
    const { status, text } = await shown({});
    expect(status).to.equal(200);
    expect(text).to.contain('/link?token=');
  });

  it('are on no page where a mail server takes them', async () => {
    expect((await shown({ CLAVIGER_MAIL_URL: 'smtp://127.0.0.1:9' })).status).to.equal(404);
  });
});
