"""Configurations of the peers, as templates for `str.format`: what somebody would run in production, with one worker.

Connections are kept alive on both sides, each answer passes with the headers a proxy adds, and each request is logged.
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
  access_log off; sendfile on; open_file_cache max=16;
  types {{ }} default_type application/json;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {directory}/files;
    location /json {{ return 200 '{small}'; }}
    location /echo {{ return 200 '{answer}'; }}
    location /vary {{ return 200 '{varying}'; }}
    location = /events {{ default_type text/event-stream; try_files /events =404; }}
    location = /16k {{ try_files /16k =404; }}
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
  access_log {directory}/access.log json buffer=64k flush=1s;
  upstream backend {{ server 127.0.0.1:{upstream_port}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Request-Id $request_id;
    }}
  }}
}}
"""
)

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
  bind 127.0.0.1:{port}
  unique-id-format %{{+X}}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid
  unique-id-header X-Request-Id
  default_backend back
backend back
  server upstream 127.0.0.1:{upstream_port}
"""
