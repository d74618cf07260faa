UPDATE UM_HYBRID_ROLE SET UM_ROLE_NAME = 'Application/My Account' WHERE UM_ROLE_NAME = 'Application/User Portal';
