"""Configurations of the peers, as templates for `str.format`: what somebody would run in
production, with one worker.

Connections are kept alive on both sides, requests get X-Forwarded-For and a request id (Traefik has
none to give), and each is logged with the same facts, as buffered JSON where a peer can buffer;
Caddy writes each line.
"""

from typing import Final

NGINX_COMMON: Final = """
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  keepalive_timeout 75; keepalive_requests 1000000000; tcp_nodelay on; server_tokens off;
"""

NGINX_UPSTREAM: Final = (
    NGINX_COMMON
    + """
  access_log off; sendfile on; open_file_cache max=4096 inactive=600s; client_max_body_size 0;
  types {{ }} default_type application/json;
  map $request_id $digits {{ ~^(?<pair>..) $pair; }}
  map $digits $variant {{ {variants} }}
  map $variant $item {{
{items}
  }}
  server {{
    listen 127.0.0.1:{port}{http2} backlog=4096;
    listen unix:{socket} backlog=4096;
    root {directory}/files;
    location /json {{ return 200 $item; }}
    location /upload {{ return 201 $item; }}
    location = /v1/messages {{ error_page 405 =200 /made/events-8k/$variant; return 405; }}
{contents}
    location = /bench.Items/Get {{
      default_type application/grpc; add_trailer grpc-status 0; return 200 '{message}';
    }}
    location = /1m {{ try_files /1m =404; }}
    location = /live {{
      proxy_pass http://127.0.0.1:{source_port}; proxy_http_version 1.1;
      proxy_buffering off; proxy_pass_header X-Accel-Buffering;
    }}
  }}
}}
"""
)

NGINX_PROXY: Final = (
    NGINX_COMMON
    + """
  log_format json escape=json '{{"time":"$time_iso8601","client":"$remote_addr","method":"$request_method",'
    '"uri":"$request_uri","status":$status,"bytes":$body_bytes_sent,"duration":$request_time,'
    '"upstream_duration":"$upstream_response_time","user_agent":"$http_user_agent","referer":"$http_referer",'
    '"request_id":"$request_id"}}';
  access_log {access_log} json buffer=64k flush=1s;
  upstream backend {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port}{tls_listen}{http2} backlog=4096;{tls}
    location / {{
      {hop}
      {name}_set_header Host $http_host;
      {name}_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      {name}_set_header X-Request-Id $request_id;
    }}
  }}
}}
"""
)

NGINX_HOPS: Final = {
    "proxy": 'proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";',
    "grpc": "grpc_pass grpc://backend;",
}
"""To an upstream that speaks HTTP/1.1, and to one that speaks HTTP/2."""

HAPROXY: Final = """
global
  log 127.0.0.1:{log_port} local0
  nbthread 1
  maxconn 4000
defaults
  mode http
  log global
  option httplog
  option forwardfor
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:{port}{tls}{http2}
  unique-id-format %{{+X}}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid
  unique-id-header X-Request-Id
  default_backend back
backend back
  server upstream {upstream}{http2_upstream}
"""

ENVOY: Final = """
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          codec_type: {codec}
          use_remote_address: true
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {access_log}
              log_format:
                json_format:
                  time: "%START_TIME%"
                  client: "%DOWNSTREAM_REMOTE_ADDRESS%"
                  method: "%REQ(:METHOD)%"
                  uri: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"
                  status: "%RESPONSE_CODE%"
                  bytes: "%BYTES_SENT%"
                  duration: "%DURATION%"
                  upstream_duration: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"
                  user_agent: "%REQ(USER-AGENT)%"
                  referer: "%REQ(REFERER)%"
                  request_id: "%REQ(X-REQUEST-ID)%"
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: "/" }}
                route: {{ cluster: upstream, timeout: 0s }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
{tls}
  clusters:
  - name: upstream
    type: STATIC
{http2_upstream}
    load_assignment:
      cluster_name: upstream
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ {upstream} }} }}
"""

ENVOY_HTTP2_UPSTREAM: Final = """
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
"""

ENVOY_TLS: Final = """
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_certificates:
            - certificate_chain: {{ filename: {certificate} }}
              private_key: {{ filename: {certificate} }}
"""

CADDY: Final = """
{{
  admin off
  auto_https off
  persist_config off
  default_sni bench.local
  servers {{
    protocols h1
  }}
  log {{
    level ERROR
  }}
}}
{scheme}://:{port} {{
  bind 127.0.0.1
  {tls}
  log {{
    output file {access_log}
    format json
  }}
  reverse_proxy {upstream} {{
    header_up X-Request-Id {{http.request.uuid}}
    transport http {{
      keepalive_idle_conns_per_host 128
    }}
  }}
}}
"""

TRAEFIK: Final = """
http:
  routers:
    all:
      rule: PathPrefix(`/`)
      service: upstream
  services:
    upstream:
      loadBalancer:
        servers:
        - url: http://127.0.0.1:{upstream_port}
{tls}
"""

TRAEFIK_TLS: Final = """
tls:
  stores:
    default:
      defaultCertificate:
        certFile: {certificate}
        keyFile: {certificate}
"""
