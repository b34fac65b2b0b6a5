import { expect } from 'chai';
import { register } from 'prom-client';
import { Metrics } from '../src/metrics.js';

describe('metrics', () => {
  let metrics: Metrics;
  beforeEach(() => {
    metrics = new Metrics(['client_credentials']);
  });
  afterEach(() => metrics.close());

  it('count token requests by grant type, outcome and error', async () => {
    metrics.countTokenRequest('client_credentials', 'issued');
    metrics.countTokenRequest('client_credentials', 'issued');
    metrics.countTokenRequest('client_credentials', 'refused', 'invalid_client');
    const text = await metrics.render();
    expect(text).to.include(
      'claviger_oauth_token_requests_total{grant_type="client_credentials",outcome="issued",error=""} 2',
    );
    expect(text).to.include(
      'claviger_oauth_token_requests_total{grant_type="client_credentials",outcome="refused",error="invalid_client"} 1',
    );
    // Counters only grow: asking twice counts nothing twice.
    expect(await metrics.render()).to.include('outcome="issued",error=""} 2');
  });

  it('measure requests by method, route and status', async () => {
    metrics.observeRequest('POST', '/oauth2/token', 200, 0.004);
    metrics.observeRequest('POST', '/oauth2/token', 200, 0.2);
    const text = await metrics.render();
    const labels = 'method="POST",route="/oauth2/token",status="200"';
    expect(text).to.include(`claviger_http_request_duration_seconds_bucket{le="0.005",${labels}} 1`);
    expect(text).to.include(`claviger_http_request_duration_seconds_count{${labels}} 2`);
  });

  it('keep the number of series bounded whatever requests contain', async () => {
    for (let index = 0; index < 2_000; index += 1) {
      metrics.countTokenRequest(
        `urn:made-up:${index}`,
        'refused',
        `made_up_${'x'.repeat(index % 90)}${index}`,
      );
      metrics.observeRequest(`M${index}`, `/r/${index}`, index, 0.001);
    }
    const text = await metrics.render();
    expect(text).to.include('grant_type="other"').and.not.include('urn:made-up');
    expect(text).to.include('method="other"');
    expect(
      text.split('\n').filter(line => line.startsWith('claviger_oauth_token_requests_total')).length,
    ).to.be.at.most(501);
    expect(new Set([...text.matchAll(/route="([^"]*)"/g)].map(([, route]) => route)).size).to.be.at.most(201);
  });

  it('show the ring: version, age of each key, overdue rotation; a key that left is gone', async () => {
    metrics.setSigningKeys(7, [
      { kid: 'a', alg: 'ES256', state: 'active', ageFor: 60 },
      { kid: 'b', alg: 'ES256', state: 'announced', ageFor: 1 },
    ]);
    metrics.setRotationOverdue('ES256', 30);
    expect(await metrics.render())
      .to.include('claviger_key_ring_version 7')
      .and.include('claviger_signing_key_age_seconds{kid="a",alg="ES256",state="active"} 60')
      .and.include('claviger_signing_key_overdue_seconds{alg="ES256"} 30');
    metrics.setSigningKeys(8, [{ kid: 'b', alg: 'ES256', state: 'active', ageFor: 2 }]);
    expect(await metrics.render())
      .to.include('claviger_key_ring_version 8')
      .and.not.include('kid="a"');
  });

  it('show group commits, JWKS requests and the delay of the event loop', async () => {
    metrics.observeCommit(5, 0.002);
    metrics.countJwksRequest(200);
    metrics.countJwksRequest(304);
    metrics.countJwksRequest(304);
    const text = await metrics.render();
    expect(text)
      .to.include('claviger_group_commit_units_bucket{le="8"} 1')
      .and.include('claviger_group_commit_units_sum 5');
    expect(text).to.include('claviger_group_commit_duration_seconds_count 1');
    expect(text).to.include('claviger_jwks_requests_total{status="304"} 2');
    expect(text).to.match(/claviger_event_loop_lag_seconds\{quantile="0.99"\} [\d.e-]+/);
  });

  it('use a registry of their own, so that two servers in one program do not mix', async () => {
    const other = new Metrics([]);
    metrics.countJwksRequest(200);
    expect(await other.render()).to.not.include('claviger_jwks_requests_total{');
    expect(await register.metrics()).to.not.include('claviger');
    other.close();
  });
});
