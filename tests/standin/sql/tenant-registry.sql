-- A second tenant: its API in the registry.
INSERT INTO REG_PATH (REG_PATH_ID, REG_PATH_VALUE, REG_TENANT_ID) VALUES
    (2, '/_system/governance/apimgt/applicationdata/provider', 1);
INSERT INTO REG_RESOURCE (REG_PATH_ID, REG_NAME, REG_MEDIA_TYPE, REG_CREATOR, REG_TENANT_ID, REG_UUID) VALUES
    (2, 'Parcels/1.0.0', 'application/vnd.wso2-api+xml', 'admin', 1, 'a1b2c3d4-0000-4000-8000-000000000007');
