-- A second tenant: its API in AM_DB.
INSERT INTO AM_API (API_PROVIDER, API_NAME, API_VERSION, CONTEXT, CONTEXT_TEMPLATE, API_TIER, API_TYPE, CREATED_BY) VALUES
    ('admin-AT-example.org', 'Parcels', '1.0.0', '/t/example.org/parcels/1.0.0', '/t/example.org/parcels/{version}', '', 'HTTP',
     'admin-AT-example.org');
INSERT INTO AM_SUBSCRIBER (USER_ID, TENANT_ID) VALUES ('admin@example.org', 1);
