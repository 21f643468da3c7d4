use super::rows;
use crate::config::key::{INT, Kind, LONG, int, long};

rows! {
    "allow.everyone.if.no.acl.found": Kind::Boolean => None, WeakensSafety,
        "Whether the authorizer lets everybody use what has no ACL.";
    "alter.config.policy.class.name": Kind::Class => None, WeakensSafety,
        "The alter configs policy class that should be used for validation.";
    "authorizer.class.name": Kind::Text => Some(""), WeakensSafety,
        "The class that decides who may do what; without it everybody may do everything.";
    "connection.failed.authentication.delay.ms": int(0) => Some("100"), IgnoredHarmless,
        "Connection close delay on failed authentication: this is the time (in milliseconds) by which connection close will be delayed on authentication failure.";
    "connections.max.reauth.ms": LONG => Some("0"), WeakensSafety,
        "When explicitly set to a positive number.";
    "create.topic.policy.class.name": Kind::Class => None, WeakensSafety,
        "The create topic policy class that should be used for validation.";
    "delegation.token.expiry.check.interval.ms": long(1) => Some("3600000"), IgnoredHarmless,
        "Scan interval to remove expired delegation tokens.";
    "delegation.token.expiry.time.ms": long(1) => Some("86400000"), IgnoredHarmless,
        "The token validity time in milliseconds before the token needs to be renewed.";
    "delegation.token.master.key": Kind::Password => None, IgnoredHarmless,
        "An alias for delegation.token.secret.key, which should be used instead of this config.";
    "delegation.token.max.lifetime.ms": long(1) => Some("604800000"), IgnoredHarmless,
        "The token has a maximum lifetime beyond which it cannot be renewed anymore.";
    "delegation.token.secret.key": Kind::Password => None, IgnoredHarmless,
        "Secret key to generate and verify delegation tokens.";
    "password.encoder.cipher.algorithm": Kind::Text => Some("AES/CBC/PKCS5Padding"), IgnoredHarmless,
        "The Cipher algorithm used for encoding dynamically configured passwords.";
    "password.encoder.iterations": int(1024) => Some("4096"), IgnoredHarmless,
        "The iteration count used for encoding dynamically configured passwords.";
    "password.encoder.key.length": int(8) => Some("128"), IgnoredHarmless,
        "The key length used for encoding dynamically configured passwords.";
    "password.encoder.keyfactory.algorithm": Kind::Text => None, IgnoredHarmless,
        "The SecretKeyFactory algorithm used for encoding dynamically configured passwords.";
    "password.encoder.old.secret": Kind::Password => None, IgnoredHarmless,
        "The old secret that was used for encoding dynamically configured passwords.";
    "password.encoder.secret": Kind::Password => None, IgnoredHarmless,
        "The secret used for encoding dynamically configured passwords for this broker.";
    "principal.builder.class": Kind::Class => Some("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"), WeakensSafety,
        "The fully qualified name of a class that implements the KafkaPrincipalBuilder interface, which is used to build the KafkaPrincipal object used during authorization.";
    "sasl.client.callback.handler.class": Kind::Class => None, IgnoredHarmless,
        "The fully qualified name of a SASL client callback handler class that implements the AuthenticateCallbackHandler interface.";
    "sasl.enabled.mechanisms": Kind::List => Some("GSSAPI"), WeakensSafety,
        "The list of SASL mechanisms enabled in the Kafka server.";
    "sasl.jaas.config": Kind::Password => None, WeakensSafety,
        "JAAS login context parameters for SASL connections in the format used by JAAS configuration files.";
    "sasl.kerberos.kinit.cmd": Kind::Text => Some("/usr/bin/kinit"), IgnoredHarmless,
        "Kerberos kinit command path.";
    "sasl.kerberos.min.time.before.relogin": LONG => Some("60000"), IgnoredHarmless,
        "Login thread sleep time between refresh attempts.";
    "sasl.kerberos.principal.to.local.rules": Kind::List => Some("DEFAULT"), IgnoredHarmless,
        "A list of rules for mapping from principal names to short names (typically operating system usernames).";
    "sasl.kerberos.service.name": Kind::Text => None, IgnoredHarmless,
        "The Kerberos principal name that Kafka runs as.";
    "sasl.kerberos.ticket.renew.jitter": Kind::Double(f64::MIN, f64::MAX) => Some("0.05"), IgnoredHarmless,
        "Percentage of random jitter added to the renewal time.";
    "sasl.kerberos.ticket.renew.window.factor": Kind::Double(f64::MIN, f64::MAX) => Some("0.8"), IgnoredHarmless,
        "Login thread will sleep until the specified window factor of time from last refresh to ticket's expiry has been reached, at which time it will try to renew the ticket.";
    "sasl.login.callback.handler.class": Kind::Class => None, IgnoredHarmless,
        "The fully qualified name of a SASL login callback handler class that implements the AuthenticateCallbackHandler interface.";
    "sasl.login.class": Kind::Class => None, IgnoredHarmless,
        "The fully qualified name of a class that implements the Login interface.";
    "sasl.login.connect.timeout.ms": INT => None, IgnoredHarmless,
        "The (optional) value in milliseconds for the external authentication provider connection timeout.";
    "sasl.login.read.timeout.ms": INT => None, IgnoredHarmless,
        "The (optional) value in milliseconds for the external authentication provider read timeout.";
    "sasl.login.refresh.buffer.seconds": Kind::Short(-32768, 32767) => Some("300"), IgnoredHarmless,
        "The amount of buffer time before credential expiration to maintain when refreshing a credential, in seconds.";
    "sasl.login.refresh.min.period.seconds": Kind::Short(-32768, 32767) => Some("60"), IgnoredHarmless,
        "The desired minimum time for the login refresh thread to wait before refreshing a credential, in seconds.";
    "sasl.login.refresh.window.factor": Kind::Double(f64::MIN, f64::MAX) => Some("0.8"), IgnoredHarmless,
        "Login refresh thread will sleep until the specified window factor relative to the credential's lifetime has been reached.";
    "sasl.login.refresh.window.jitter": Kind::Double(f64::MIN, f64::MAX) => Some("0.05"), IgnoredHarmless,
        "The maximum amount of random jitter relative to the credential's lifetime that is added to the login refresh thread's sleep time.";
    "sasl.login.retry.backoff.max.ms": LONG => Some("10000"), IgnoredHarmless,
        "The (optional) value in milliseconds for the maximum wait between login attempts to the external authentication provider.";
    "sasl.login.retry.backoff.ms": LONG => Some("100"), IgnoredHarmless,
        "The (optional) value in milliseconds for the initial wait between login attempts to the external authentication provider.";
    "sasl.mechanism.controller.protocol": Kind::Text => Some("GSSAPI"), WeakensSafety,
        "SASL mechanism used for communication with controllers.";
    "sasl.mechanism.inter.broker.protocol": Kind::Text => Some("GSSAPI"), WeakensSafety,
        "SASL mechanism used for inter-broker communication.";
    "sasl.oauthbearer.clock.skew.seconds": INT => Some("30"), IgnoredHarmless,
        "The (optional) value in seconds to allow for differences between the time of the OAuth/OIDC identity provider and the broker.";
    "sasl.oauthbearer.expected.audience": Kind::List => None, IgnoredHarmless,
        "The (optional) comma-delimited setting for the broker to use to verify that the JWT was issued for one of the expected audiences.";
    "sasl.oauthbearer.expected.issuer": Kind::Text => None, IgnoredHarmless,
        "The (optional) setting for the broker to use to verify that the JWT was created by the expected issuer.";
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": LONG => Some("3600000"), IgnoredHarmless,
        "The (optional) value in milliseconds for the broker to wait between refreshing its JWKS (JSON Web Key Set) cache that contains the keys to verify the signature of the JWT.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": LONG => Some("10000"), IgnoredHarmless,
        "The (optional) value in milliseconds for the maximum wait between attempts to retrieve the JWKS (JSON Web Key Set) from the external authentication provider.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": LONG => Some("100"), IgnoredHarmless,
        "The (optional) value in milliseconds for the initial wait between JWKS (JSON Web Key Set) retrieval attempts from the external authentication provider.";
    "sasl.oauthbearer.jwks.endpoint.url": Kind::Text => None, IgnoredHarmless,
        "The OAuth/OIDC provider URL from which the provider's JWKS (JSON Web Key Set) can be retrieved.";
    "sasl.oauthbearer.scope.claim.name": Kind::Text => Some("scope"), IgnoredHarmless,
        "The OAuth claim for the scope is often named \"scope\".";
    "sasl.oauthbearer.sub.claim.name": Kind::Text => Some("sub"), IgnoredHarmless,
        "The OAuth claim for the subject is often named \"sub\".";
    "sasl.oauthbearer.token.endpoint.url": Kind::Text => None, IgnoredHarmless,
        "The URL for the OAuth/OIDC identity provider.";
    "sasl.server.callback.handler.class": Kind::Class => None, WeakensSafety,
        "The fully qualified name of a SASL server callback handler class that implements the AuthenticateCallbackHandler interface.";
    "sasl.server.max.receive.size": INT => Some("524288"), IgnoredHarmless,
        "The maximum receive size allowed before and during initial SASL authentication.";
    "security.providers": Kind::Text => None, IgnoredHarmless,
        "A list of configurable creator classes each returning a provider implementing security algorithms.";
    "ssl.allow.dn.changes": Kind::Boolean => Some("false"), IgnoredHarmless,
        "Indicates whether changes to the certificate distinguished name should be allowed during a dynamic reconfiguration of certificates or not.";
    "ssl.allow.san.changes": Kind::Boolean => Some("false"), IgnoredHarmless,
        "Indicates whether changes to the certificate subject alternative names should be allowed during a dynamic reconfiguration of certificates or not.";
    "ssl.cipher.suites": Kind::List => Some(""), WeakensSafety,
        "A list of cipher suites.";
    "ssl.client.auth": Kind::OneOf(&["required", "requested", "none"]) => Some("none"), WeakensSafety,
        "Configures kafka broker to request client authentication.";
    "ssl.enabled.protocols": Kind::List => Some("TLSv1.2,TLSv1.3"), WeakensSafety,
        "The list of protocols enabled for SSL connections.";
    "ssl.endpoint.identification.algorithm": Kind::Text => Some("https"), WeakensSafety,
        "The endpoint identification algorithm to validate server hostname using server certificate.";
    "ssl.engine.factory.class": Kind::Class => None, WeakensSafety,
        "The class of type org.apache.kafka.common.security.auth.SslEngineFactory to provide SSLEngine objects.";
    "ssl.key.password": Kind::Password => None, IgnoredHarmless,
        "The password of the private key in the key store file or the PEM key specified in 'ssl.keystore.key'.";
    "ssl.keymanager.algorithm": Kind::Text => Some("SunX509"), IgnoredHarmless,
        "The algorithm used by key manager factory for SSL connections.";
    "ssl.keystore.certificate.chain": Kind::Password => None, WeakensSafety,
        "Certificate chain in the format specified by 'ssl.keystore.type'.";
    "ssl.keystore.key": Kind::Password => None, WeakensSafety,
        "Private key in the format specified by 'ssl.keystore.type'.";
    "ssl.keystore.location": Kind::Text => None, WeakensSafety,
        "The location of the key store file.";
    "ssl.keystore.password": Kind::Password => None, IgnoredHarmless,
        "The store password for the key store file.";
    "ssl.keystore.type": Kind::Text => Some("JKS"), IgnoredHarmless,
        "The file format of the key store file.";
    "ssl.principal.mapping.rules": Kind::Text => Some("DEFAULT"), WeakensSafety,
        "A list of rules for mapping from distinguished name from the client certificate to short name.";
    "ssl.protocol": Kind::Text => Some("TLSv1.3"), WeakensSafety,
        "The SSL protocol used to generate the SSLContext.";
    "ssl.provider": Kind::Text => None, IgnoredHarmless,
        "The name of the security provider used for SSL connections.";
    "ssl.secure.random.implementation": Kind::Text => None, IgnoredHarmless,
        "The SecureRandom PRNG implementation to use for SSL cryptography operations.";
    "ssl.trustmanager.algorithm": Kind::Text => Some("PKIX"), IgnoredHarmless,
        "The algorithm used by trust manager factory for SSL connections.";
    "ssl.truststore.certificates": Kind::Password => None, WeakensSafety,
        "Trusted certificates in the format specified by 'ssl.truststore.type'.";
    "ssl.truststore.location": Kind::Text => None, WeakensSafety,
        "The location of the trust store file.";
    "ssl.truststore.password": Kind::Password => None, IgnoredHarmless,
        "The password for the trust store file.";
    "ssl.truststore.type": Kind::Text => Some("JKS"), IgnoredHarmless,
        "The file format of the trust store file.";
    "super.users": Kind::Text => None, WeakensSafety,
        "Principals that the authorizer lets do everything.";
    "zookeeper.clientCnxnSocket": Kind::Text => None, WeakensSafety,
        "Typically set to org.apache.zookeeper.ClientCnxnSocketNetty when using TLS connectivity to ZooKeeper.";
    "zookeeper.set.acl": Kind::Boolean => Some("false"), WeakensSafety,
        "Set client to use secure ACLs.";
    "zookeeper.ssl.cipher.suites": Kind::List => None, IgnoredHarmless,
        "Specifies the enabled cipher suites to be used in ZooKeeper TLS negotiation (csv).";
    "zookeeper.ssl.client.enable": Kind::Boolean => Some("false"), WeakensSafety,
        "Set client to use TLS when connecting to ZooKeeper.";
    "zookeeper.ssl.crl.enable": Kind::Boolean => Some("false"), WeakensSafety,
        "Specifies whether to enable Certificate Revocation List in the ZooKeeper TLS protocols.";
    "zookeeper.ssl.enabled.protocols": Kind::List => None, IgnoredHarmless,
        "Specifies the enabled protocol(s) in ZooKeeper TLS negotiation (csv).";
    "zookeeper.ssl.endpoint.identification.algorithm": Kind::Text => Some("HTTPS"), WeakensSafety,
        "Specifies whether to enable hostname verification in the ZooKeeper TLS negotiation process.";
    "zookeeper.ssl.keystore.location": Kind::Text => None, WeakensSafety,
        "Keystore location when using a client-side certificate with TLS connectivity to ZooKeeper.";
    "zookeeper.ssl.keystore.password": Kind::Password => None, IgnoredHarmless,
        "Keystore password when using a client-side certificate with TLS connectivity to ZooKeeper.";
    "zookeeper.ssl.keystore.type": Kind::Text => None, IgnoredHarmless,
        "Keystore type when using a client-side certificate with TLS connectivity to ZooKeeper.";
    "zookeeper.ssl.ocsp.enable": Kind::Boolean => Some("false"), WeakensSafety,
        "Specifies whether to enable Online Certificate Status Protocol in the ZooKeeper TLS protocols.";
    "zookeeper.ssl.protocol": Kind::Text => Some("TLSv1.2"), IgnoredHarmless,
        "Specifies the protocol to be used in ZooKeeper TLS negotiation.";
    "zookeeper.ssl.truststore.location": Kind::Text => None, WeakensSafety,
        "Truststore location when using TLS connectivity to ZooKeeper.";
    "zookeeper.ssl.truststore.password": Kind::Password => None, IgnoredHarmless,
        "Truststore password when using TLS connectivity to ZooKeeper.";
    "zookeeper.ssl.truststore.type": Kind::Text => None, IgnoredHarmless,
        "Truststore type when using TLS connectivity to ZooKeeper.";
}
