DROP PROCEDURE IF EXISTS add_index_once;

CREATE PROCEDURE add_index_once(tableName varchar(64), indexName varchar(64), columnList varchar(255)) BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; SET @statement = CONCAT('CREATE INDEX ', indexName, ' ON ', tableName, columnList); PREPARE stmt FROM @statement; EXECUTE stmt; END;

CALL add_index_once('UM_USER_ATTRIBUTE', 'UM_ATTR_NAME_VALUE_INDEX', '(UM_ATTR_NAME, UM_ATTR_VALUE)');

DROP PROCEDURE IF EXISTS add_index_once;
