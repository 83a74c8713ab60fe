#include "tests/support/http_server.h"

#include <stdexcept>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace perch::test {
namespace {

/// The request's head, up to the empty line.
std::string read_head(int connection) {
  std::string head;
  char buffer[1024];
  while (head.find("\r\n\r\n") == std::string::npos) {
    const ssize_t got = ::recv(connection, buffer, sizeof buffer, 0);
    if (got <= 0) return {};
    head.append(buffer, static_cast<std::size_t>(got));
  }
  return head;
}

HttpRequest parse(const std::string& head, int number) {
  HttpRequest request{.number = number, .path = {}};
  const std::size_t begin = head.find(' ') + 1;
  request.path = head.substr(begin, head.find(' ', begin) - begin);
  const std::string range = "Range: bytes=";
  const std::size_t found = head.find(range);
  if (found != std::string::npos)
    request.range_begin = std::stoll(head.substr(found + range.size()));
  return request;
}

void send_all(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, length) != 0 || ::listen(listener_, 8) != 0 ||
      ::getsockname(listener_, generic, &length) != 0) {
    throw std::runtime_error("the test server cannot listen on 127.0.0.1");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

HttpServer::~HttpServer() {
  ::shutdown(listener_, SHUT_RDWR);
  thread_.join();
  ::close(listener_);
}

std::string HttpServer::url(const std::string& path) const {
  return fmt::format("http://127.0.0.1:{}{}", port_, path);
}

std::vector<HttpRequest> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::serve() {
  while (true) {
    const int connection = ::accept(listener_, nullptr, nullptr);
    if (connection < 0) return;
    answer(connection);
    ::shutdown(connection, SHUT_RDWR);
    ::close(connection);
  }
}

void HttpServer::answer(int connection) {
  const std::string head = read_head(connection);
  if (head.empty()) return;
  HttpRequest request;
  {
    const std::lock_guard lock(mutex_);
    request = parse(head, static_cast<int>(requests_.size()));
    requests_.push_back(request);
  }
  const HttpAnswer reply = handler_(request);
  const auto size = static_cast<std::int64_t>(reply.body.size());
  const bool part = reply.status == 200 && reply.honours_range && request.range_begin >= 0;
  if (part && request.range_begin >= size) {
    send_all(connection, "HTTP/1.1 416 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    return;
  }
  std::string_view body = reply.body;
  std::string answer_head =
      fmt::format("HTTP/1.1 {} X\r\nConnection: close\r\n", part ? 206 : reply.status);
  if (part) {
    body.remove_prefix(static_cast<std::size_t>(request.range_begin));
    answer_head +=
        fmt::format("Content-Range: bytes {}-{}/{}\r\n", request.range_begin, size - 1, size);
  }
  if (!reply.location.empty()) answer_head += fmt::format("Location: {}\r\n", reply.location);
  if (reply.announces_length) answer_head += fmt::format("Content-Length: {}\r\n", body.size());
  if (reply.cut_after >= 0) body = body.substr(0, static_cast<std::size_t>(reply.cut_after));
  send_all(connection, answer_head + "\r\n");
  send_all(connection, body);
}

}  // namespace perch::test
