# CAFS of the trial with deaths: every pair of patients, by two loops. Rscript wins.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))

table <- table_of("shared")
who <- unique(table$subject)
one <- table[match(who, table$subject), ]
death <- ifelse(is.na(one$event), Inf, one$event_time)
alive <- ifelse(is.na(one$event), one$end_of_follow_up, one$event_time)  # until when he is known to live
months <- sort(unique(table$time))
score <- t(sapply(who, function(w) { own <- table[table$subject == w, ]; own$alsfrsr[match(months, own$time)] }))
change <- score[, -1] - score[, 1]

better <- function(i, j) {  # 1 if i did better, -1 if worse, 0 if neither
  if (is.finite(death[i]) && death[i] < death[j] && alive[j] > death[i]) return(-1)
  if (is.finite(death[j]) && death[j] < death[i] && alive[i] > death[j]) return(1)
  both <- which(!is.na(change[i, ]) & !is.na(change[j, ]))
  if (!length(both)) return(0)
  sign(round(change[i, max(both)] - change[j, max(both)], 9))
}
n <- length(who)
result <- outer(seq_len(n), seq_len(n), Vectorize(better))
treated <- one$arm == "treated"
across <- result[treated, !treated]
win <- mean((across + 1) / 2)
# Each patient's share of wins: the variance of a two-sample U statistic (DeLong).
se <- sqrt(var(rowMeans((across + 1) / 2)) / sum(treated) + var(colMeans((across + 1) / 2)) / sum(!treated))
own <- rowSums(result)  # Finkelstein and Schoenfeld
z <- sum(own[treated]) / sqrt(sum(treated) * sum(!treated) / (n * (n - 1)) * sum(own^2))
value <- function(x) list(value = x)
write_reference("wins", "exact", paste("R", getRversion(), "two loops over pairs"), list(
  wins = value(sum(across == 1)), losses = value(sum(across == -1)), ties = value(sum(across == 0)), win_probability = value(win), se = value(se),
  win_ratio = value(sum(across == 1) / sum(across == -1)), z = value(z), p = value(2 * pnorm(-abs(z)))), "stats")
